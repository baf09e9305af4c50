package tlsproxy

import (
	"context"
	"io"
	"net/http"
	"time"
)

// handle serves one request of the agent.
func (p *Proxy) handle(w http.ResponseWriter, r *http.Request) {
	c, ok := r.Context().Value(connKey{}).(*agentConn)
	if !ok || !p.begin() {
		panic(http.ErrAbortHandler)
	}
	defer p.end()
	req, bad := p.describe(c, r)
	if bad != nil {
		p.refuse(w, r, req, Verdict{Reason: bad.reason}, bad.status, bad.detail)
		return
	}
	verdict, err := p.judge.Request(r.Context(), req)
	switch {
	case err != nil:
		p.answer(w, r, denial(req, Verdict{Reason: ReasonNotRecorded}, http.StatusServiceUnavailable,
			"The decision could not be recorded, and what is not recorded is not let through."))
	case !verdict.Allowed:
		p.answer(w, r, denial(req, verdict, http.StatusForbidden, ""))
	default:
		p.pass(w, r, req, verdict)
	}
}

// pass forwards an allowed request, if its body may be.
func (p *Proxy) pass(w http.ResponseWriter, r *http.Request, req *Request, verdict Verdict) {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	ex := &exchange{request: req, verdict: verdict, in: r, start: time.Now(), cancel: cancel}
	out := &reply{ResponseWriter: w, ex: ex}
	// Deferred, since a transfer that breaks off ends in a panic that
	// net/http expects.
	defer func() { p.judge.Done(req, ex.result(out)) }()

	// A copy: net/http goes on looking at the original's body.
	r = r.WithContext(context.WithValue(ctx, exchangeKey{}, ex))
	if err := limitBody(r, ex); err != nil {
		p.fail(out, r, err)
	} else {
		p.forward(out, r, ex)
	}
	ex.finished = true
}

// refuse records a denial that the proxy found, and answers it.
func (p *Proxy) refuse(w http.ResponseWriter, r *http.Request, req *Request, verdict Verdict, status int, detail string) {
	// The record is due even where the agent has gone in the meantime.
	ctx := context.WithoutCancel(r.Context())
	if err := p.judge.Refused(ctx, req, verdict, status); err != nil {
		detail = "The decision could not be recorded, and what is not recorded is not let through."
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
	// take an early close for a network failure.
	drainBytes = 64 << 20
	drainTime  = 10 * time.Second
)

// answer sends a response of the proxy's own, and reads what remains of the
// request's body within bounds.
func (p *Proxy) answer(w http.ResponseWriter, r *http.Request, m *message) {
	late := r.ProtoMajor == 1 && (r.ContentLength < 0 || r.ContentLength > drainAtOnce)
	rc := http.NewResponseController(w)
	if late {
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
	if rc.SetReadDeadline(time.Now().Add(drainTime)) != nil {
		return
	}
	// Whatever the error, the connection is closed afterwards.
	_, _ = io.CopyN(io.Discard, r.Body, drainBytes)
}
