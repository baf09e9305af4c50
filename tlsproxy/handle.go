package tlsproxy

import (
	"context"
	"io"
	"net/http"
	"time"
)

// notRecorded explains ReasonNotRecorded to the agent.
const notRecorded = "The decision could not be recorded, and what is not recorded is not let through."

// handle serves one request of the agent.
func (p *Proxy) handle(w http.ResponseWriter, r *http.Request) {
	c, ok := r.Context().Value(connKey{}).(*agentConn)
	if !ok || !p.begin() {
		panic(http.ErrAbortHandler)
	}
	defer p.end()
	if c.http1 != nil {
		defer c.http1.serving.Add(-1)
	}
	if refused := c.refusal(r); refused != nil {
		p.refuseHead(w, r, c, refused)
		return
	}
	if r.Method == http.MethodConnect && c.mayTunnel(r) {
		p.tunnel(w, r, c)
		return
	}
	if c.http1 != nil && (isWebSocket(r) || r.Method == http.MethodConnect) {
		defer c.http1.settle(upgradeNone)
	}
	req, bad := p.describe(c, r)
	if bad != nil {
		p.refuse(w, r, req, Verdict{Reason: bad.reason}, bad.status, bad.detail)
		return
	}
	verdict, err := p.judge.Request(r.Context(), req)
	switch {
	case err != nil:
		p.answer(w, r, denial(req, Verdict{Reason: ReasonNotRecorded}, http.StatusServiceUnavailable,
			notRecorded))
	case !verdict.Allowed:
		p.answer(w, r, denial(req, verdict, http.StatusForbidden, ""))
	default:
		p.pass(w, r, c, req, verdict)
	}
}

// pass forwards an allowed request, if its body may be.
func (p *Proxy) pass(w http.ResponseWriter, r *http.Request, c *agentConn, req *Request, verdict Verdict) {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	ex := &exchange{conn: c, request: req, verdict: verdict, in: r, start: time.Now(), cancel: cancel}
	out := &reply{ResponseWriter: w, ex: ex}
	// Deferred, since a transfer that breaks off ends in a panic that
	// net/http expects.
	defer p.finish(out, ex)

	// A copy: net/http goes on looking at the original's body.
	r = r.WithContext(context.WithValue(ctx, exchangeKey{}, ex))
	if err := limitBody(r, ex); err != nil {
		p.fail(out, r, err)
	} else {
		p.forward(out, r, ex)
	}
	ex.finished = true
}

// finish reports how an allowed request ended.
func (p *Proxy) finish(out *reply, ex *exchange) {
	if reason, err := ex.bodyDenied(); err != nil && !ex.denied {
		// The response had begun when the body turned out not to be allowed:
		// nothing is left to answer, but it is a denial all the same. That it
		// may go unrecorded changes nothing any more.
		ex.denied = true
		ex.failed(err)
		_ = p.judge.Refused(context.WithoutCancel(ex.in.Context()), ex.request, ex.denial(reason), out.status)
	}
	if !ex.finished {
		// net/http reads on in the body before it breaks an HTTP/1 connection
		// off, and an agent that waits for an answer would never send more.
		// Where it can't be set, the connection is gone already.
		_ = http.NewResponseController(out).SetReadDeadline(time.Unix(1, 0))
	}
	p.judge.Done(ex.request, ex.result(out))
}

// refuse records a denial that the proxy found, and answers it.
func (p *Proxy) refuse(w http.ResponseWriter, r *http.Request, req *Request, verdict Verdict, status int, detail string) {
	// The record is due even where the agent has gone in the meantime.
	ctx := context.WithoutCancel(r.Context())
	if err := p.judge.Refused(ctx, req, verdict, status); err != nil {
		detail = notRecorded
		verdict, status = Verdict{Reason: ReasonNotRecorded}, http.StatusServiceUnavailable
	}
	p.answer(w, r, denial(req, verdict, status, detail))
}

const (
	// drainAtOnce is how much of a refused body is read before the answer,
	// so that the connection can be kept.
	drainAtOnce = 256 << 10
	// drainBytes and drainTime bound what is read of a refused body after the
	// answer. Many clients read nothing before they have sent all, and would
	// take an early end for a network failure.
	drainBytes = 64 << 20
	drainTime  = 10 * time.Second
	// pauseHTTP1 and pauseHTTP2 are how long the agent may pause meanwhile.
	// In HTTP/1 the answer is complete and nobody waits. In HTTP/2 its end is
	// told by the end of the stream only, and some wait for that.
	pauseHTTP1 = 5 * time.Second
	pauseHTTP2 = time.Second
)

// answer sends a response of the proxy's own, and reads what remains of the
// request's body within bounds.
func (p *Proxy) answer(w http.ResponseWriter, r *http.Request, m *message) {
	late := r.ContentLength < 0 || r.ContentLength > drainAtOnce
	rc := http.NewResponseController(w)
	if late && r.ProtoMajor == 1 {
		// Answer first: a stream of unknown length may never end.
		if err := rc.EnableFullDuplex(); err != nil {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Connection", "close")
	}
	m.write(w, r)
	if !late || rc.Flush() != nil {
		return
	}
	drain(rc, r)
}

// drain reads the rest of a body within bounds. A client that waits for 100
// Continue sends none.
func drain(rc *http.ResponseController, r *http.Request) {
	if r.Header.Get("Expect") != "" {
		return
	}
	const piece = 256 << 10
	pause := pauseHTTP1
	if r.ProtoMajor > 1 {
		pause = pauseHTTP2
	}
	end := time.Now().Add(drainTime)
	for range drainBytes / piece {
		now := time.Now()
		if now.After(end) || rc.SetReadDeadline(now.Add(pause)) != nil {
			return
		}
		// Whatever the error, the body is given up.
		if _, err := io.CopyN(io.Discard, r.Body, piece); err != nil {
			return
		}
	}
}
