package tlsproxy

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
)

// meteredBody is a request body that is counted, and cut off where it exceeds
// its limit. net/http never reads it concurrently.
type meteredBody struct {
	io.ReadCloser
	ex    *exchange
	limit int64 // bytes; negative is none
	total int64
	eof   atomic.Bool
	left  atomic.Bool // nothing more of it is wanted
}

// limitBody replaces the body of r by one that holds to the verdict's limit. A
// body that is known to exceed it gives errBodyTooLarge.
func limitBody(r *http.Request, ex *exchange) error {
	limit := ex.verdict.MaxRequestBytes
	switch {
	case r.Body == nil || r.ContentLength == 0:
		r.Body = http.NoBody
		return nil
	case limit >= 0 && r.ContentLength > limit:
		return errBodyTooLarge
	}
	body := &meteredBody{ReadCloser: r.Body, ex: ex, limit: limit}
	r.Body, ex.body = body, body
	if limit != 0 {
		return nil
	}
	// The length is unknown and nothing is allowed: the first byte decides,
	// before anything goes upstream.
	_, err := io.ReadFull(body, make([]byte, 1))
	if errors.Is(err, io.EOF) {
		r.Body, r.ContentLength = http.NoBody, 0
		return nil
	}
	return err
}

// Read implements [io.Reader].
func (b *meteredBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.total += int64(n)
	if b.limit >= 0 && b.total > b.limit {
		b.ex.overran()
		return 0, errBodyTooLarge
	}
	b.ex.sent.Add(int64(n))
	if errors.Is(err, io.EOF) {
		b.eof.Store(true)
	}
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, http.ErrBodyReadAfterClose) && !b.left.Load() {
		b.ex.bodyFailed(err)
	}
	return n, err
}

// ended tells whether the body was read to its end.
func (b *meteredBody) ended() bool { return b.eof.Load() }

// answerBody is the body of an upstream's answer to a request that has a body
// too. The answer may end first: gRPC ends a call so when it fails. Closing it
// waits in HTTP/2 for the sending of the request's body, which waits for the
// agent, which waits for the end of the answer.
type answerBody struct {
	io.ReadCloser
	ex *exchange
}

// Close implements [io.Closer].
func (b *answerBody) Close() error {
	switch {
	case b.ex.body.ended():
	case b.ex.in.ProtoMajor > 1:
		// The wait for the agent ends here.
		b.ex.body.left.Store(true)
		_ = b.ex.in.Body.Close()
	default:
		// In HTTP/1 the connection may yet be of use: see drain.
		go func() { _ = b.ReadCloser.Close() }()
		return nil
	}
	return b.ReadCloser.Close()
}
