package tlsproxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
)

// fail answers an allowed request that could not be carried out. err may come
// from anywhere on the way; the text for the agent is always our own.
func (p *Proxy) fail(out *reply, r *http.Request, err error) {
	ex, ok := exchangeOf(r.Context())
	if !ok {
		panic(http.ErrAbortHandler)
	}
	if cause := context.Cause(r.Context()); cause != nil {
		err = errors.Join(cause, err)
	}
	out.local = true
	_, agentErr := ex.bodyState()
	reason, bodyErr := ex.bodyDenied()
	var (
		framing *problem
		denied  *deniedError
	)
	switch {
	case errors.As(bodyErr, &framing):
		ex.denied = true
		ex.failed(framing)
		p.refuse(out, ex.in, ex.request, ex.denial(reason), framing.status, framing.detail)
	case bodyErr != nil || errors.Is(err, errBodyTooLarge):
		ex.denied = true
		ex.failed(errBodyTooLarge)
		p.refuse(out, ex.in, ex.request, ex.denial(ReasonBody), http.StatusForbidden,
			fmt.Sprintf("The rule allows a request body of at most %d bytes.", ex.verdict.MaxRequestBytes))
	case errors.As(err, &denied):
		ex.denied = true
		ex.failed(denied)
		p.refuse(out, ex.in, ex.request, denied.verdict, http.StatusForbidden,
			fmt.Sprintf("The host is at %s, which is refused.", denied.addr.Addr()))
	case agentErr != nil || ex.in.Context().Err() != nil:
		ex.failed(errAgentGone)
		panic(http.ErrAbortHandler)
	default:
		ex.failed(err)
		status, cause := explain(ex.request.Host, err)
		p.answer(out, ex.in, failure(ex.request, status, cause))
	}
}

// explain tells the status for an upstream failure, and the cause in a sentence
// for people. It quotes nothing of the error but what a certificate says.
func explain(host string, err error) (status int, cause string) {
	var (
		lookup   *lookupError
		dns      *net.DNSError
		verify   *tls.CertificateVerificationError
		alert    tls.AlertError
		record   tls.RecordHeaderError
		hostname x509.HostnameError
		proxy    *proxyError
	)
	switch {
	case errors.Is(err, errUpgrade):
		return http.StatusBadGateway, fmt.Sprintf("%s switched to another protocol, which was not asked for.", host)
	case errors.As(err, &proxy):
		return http.StatusBadGateway, fmt.Sprintf("The proxy that leads outside answered %d for %s.", proxy.status, host)
	case isTimeout(err):
		return http.StatusGatewayTimeout, fmt.Sprintf("%s did not answer in time.", host)
	case errors.As(err, &lookup):
		if errors.As(err, &dns) && dns.IsNotFound {
			return http.StatusBadGateway, fmt.Sprintf("%s: no such host.", host)
		}
		return http.StatusBadGateway, fmt.Sprintf("The address of %s could not be found: the name service failed.", host)
	case errors.As(err, &hostname):
		return http.StatusBadGateway, fmt.Sprintf("The certificate that %s showed is not for that name.", host)
	case errors.As(err, &verify):
		return http.StatusBadGateway, fmt.Sprintf("The certificate of %s could not be verified: %v.", host, verify.Err)
	case errors.As(err, &alert), errors.As(err, &record), isAlert(err):
		return http.StatusBadGateway, fmt.Sprintf("%s did not agree to a TLS connection.", host)
	case errors.Is(err, syscall.ECONNREFUSED):
		return http.StatusBadGateway, fmt.Sprintf("%s refused the connection.", host)
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return http.StatusBadGateway, fmt.Sprintf("There is no route to %s.", host)
	case isReset(err), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return http.StatusBadGateway, fmt.Sprintf("%s closed the connection before it answered.", host)
	}
	return http.StatusBadGateway, fmt.Sprintf("%s could not be reached, or gave no valid answer.", host)
}

// isTimeout tells whether an error is that of a time limit.
func isTimeout(err error) bool {
	var network net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.As(err, &network) && network.Timeout()
}

// isReset tells whether the peer broke the connection off.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// isAlert tells whether the peer ended TLS with an alert, which crypto/tls
// reports as a net.OpError of this name.
func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}
