package tlsproxy

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

var (
	// errAgentGone ends a request that the agent gave up, or whose body it
	// did not finish.
	errAgentGone = errors.New("agent broke off the request")
	// errBrokenOff ends a request whose response the upstream did not finish.
	errBrokenOff = errors.New("upstream broke off the response")
	// errEarly ends a connection on which too much came ahead of an upgrade.
	errEarly = errors.New("agent did not wait for the upgrade")
	// errUpgrade ends a request whose upstream switched protocols unasked.
	errUpgrade = errors.New("upstream switched protocols unasked")
	// errBodyTooLarge ends a request whose body exceeds the verdict's limit.
	errBodyTooLarge = errors.New("request body is larger than the rule allows")
)

// exchange is one allowed request on its way.
type exchange struct {
	conn    *agentConn // on which the request came
	request *Request
	verdict Verdict
	// in is the request as net/http made it: its context ends when the agent
	// goes, its body is neither metered nor limited.
	in     *http.Request
	start  time.Time
	body   *meteredBody // nil: the request has none
	cancel context.CancelCauseFunc
	// finished is set when the handler reached its end. Only the handler's
	// goroutine touches it.
	finished bool
	empty    bool // the upstream's answer has no body; not changed once that has begun
	denied   bool // Refused was called; touched as finished is

	sent, received atomic.Int64

	mu       sync.Mutex
	upstream netip.AddrPort // guarded by mu
	tooLarge bool           // the body went over the limit; guarded by mu
	agentErr error          // reading the agent's body failed; guarded by mu
	err      error          // why the request failed; guarded by mu
}

// exchangeKey is the context key of the exchange.
type exchangeKey struct{}

// exchangeOf returns the exchange that a context belongs to.
func exchangeOf(ctx context.Context) (*exchange, bool) {
	ex, ok := ctx.Value(exchangeKey{}).(*exchange)
	return ex, ok
}

// priorKnowledge tells whether the request came in HTTP/2 without TLS.
func (ex *exchange) priorKnowledge() bool {
	return ex.in.ProtoMajor == 2 && ex.request.Scheme == "http"
}

// use notes the upstream address of the exchange.
func (ex *exchange) use(addr netip.AddrPort) {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	ex.upstream = addr
}

// failed notes why the request failed; the first cause counts.
func (ex *exchange) failed(err error) {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	if ex.err == nil {
		ex.err = err
	}
}

// overran notes that the body went over the limit.
func (ex *exchange) overran() {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	ex.tooLarge = true
}

// bodyFailed notes that the agent's body could not be read to its end.
func (ex *exchange) bodyFailed(err error) {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	ex.agentErr = err
}

// bodyState tells what became of the request's body.
func (ex *exchange) bodyState() (tooLarge bool, agentErr error) {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	return ex.tooLarge, ex.agentErr
}

// bodyDenied tells why the request's body, as far as it was read, denies the
// request; without an error it does not.
func (ex *exchange) bodyDenied() (reason string, err error) {
	if tooLarge, _ := ex.bodyState(); tooLarge {
		return ReasonBody, errBodyTooLarge
	}
	// On HTTP/1 there is one request at a time, so that this is its own body.
	if http1 := ex.conn.http1; http1 != nil {
		if bad := http1.broken.Load(); bad != nil {
			return bad.reason, bad
		}
	}
	return "", nil
}

// denial is a denial by the rule that had allowed the request.
func (ex *exchange) denial(reason string) Verdict {
	verdict := ex.verdict
	verdict.Allowed, verdict.Reason = false, reason
	return verdict
}

// result sums the exchange up, once it is over.
func (ex *exchange) result(out *reply) Result {
	_, agentErr := ex.bodyState()
	if !ex.finished {
		// The handler panicked: one side did not finish.
		switch {
		case agentErr != nil || ex.in.Context().Err() != nil:
			ex.failed(errAgentGone)
		default:
			ex.failed(errBrokenOff)
		}
	}
	ex.mu.Lock()
	defer ex.mu.Unlock()
	return Result{
		Status:   out.status,
		Upstream: ex.upstream,
		Sent:     ex.sent.Load(),
		Received: ex.received.Load(),
		Duration: time.Since(ex.start),
		Denied:   ex.denied,
		Err:      ex.err,
	}
}
