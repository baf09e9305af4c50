package tlsproxy

import (
	"encoding/json"
	"mime"
	"net/http"
	"strconv"
	"strings"
)

const (
	// denialHeader carries the ID of a denied request.
	denialHeader = "Boundary-Denial"
	// deniedHeadline opens the body of every denial.
	deniedHeadline = "Network request blocked by boundary policy"
	// failedHeadline opens the body where the upstream is to blame.
	failedHeadline = "Network request allowed by boundary policy, but it failed upstream"
)

// message is an answer of the proxy's own. Its JSON form is the object that the
// agent gets.
type message struct {
	Error  string `json:"error"`
	Method string `json:"method"`
	URL    string `json:"url"`
	Rule   string `json:"rule,omitempty"`
	RuleAt string `json:"rule_at,omitempty"`
	Reason string `json:"reason,omitempty"`
	Detail string `json:"detail,omitempty"`
	ID     string `json:"id"`
	Fix    string `json:"fix,omitempty"`

	status int
	denied bool
}

// denial makes the answer to a denied request.
func denial(req *Request, verdict Verdict, status int, detail string) *message {
	return &message{
		Error:  deniedHeadline,
		Method: req.Method,
		URL:    req.url(),
		Rule:   verdict.Rule,
		RuleAt: verdict.RuleAt,
		Reason: verdict.Reason,
		Detail: detail,
		ID:     req.ID,
		Fix:    verdict.Suggestion,
		status: status,
		denied: true,
	}
}

// failure makes the answer to a request that failed upstream.
func failure(req *Request, status int, cause string) *message {
	return &message{
		Error:  failedHeadline,
		Method: req.Method,
		URL:    req.url(),
		Detail: cause,
		ID:     req.ID,
		status: status,
	}
}

// write sends the message, in the form that the request prefers.
func (m *message) write(w http.ResponseWriter, r *http.Request) {
	contentType, body := "text/plain; charset=utf-8", m.text()
	if prefersJSON(r.Header["Accept"]) {
		contentType, body = "application/json", m.json()
	}
	h := w.Header()
	if m.denied {
		h.Set(denialHeader, m.ID)
	}
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(m.status)
	if r.Method != http.MethodHead {
		// An agent that has gone needs no answer.
		_, _ = w.Write(body)
	}
}

// text returns the message for people, and for models.
func (m *message) text() []byte {
	var b strings.Builder
	b.WriteString(m.Error + "\n\n  " + m.Method + " " + m.URL + "\n\n")
	if m.Detail != "" {
		b.WriteString(m.Detail + "\n\n")
	}
	if m.denied {
		rule := "none"
		if m.Rule != "" {
			rule = m.Rule
			if m.RuleAt != "" {
				rule += " (" + m.RuleAt + ")"
			}
		}
		b.WriteString("rule:   " + rule + "\n")
		b.WriteString("reason: " + m.Reason + "\n")
	}
	b.WriteString("id:     " + m.ID + "\n")
	if m.Fix != "" {
		b.WriteString("\nTo allow it, a person can add this to the policy:\n\n" + strings.TrimRight(m.Fix, "\n") + "\n")
	}
	return []byte(b.String())
}

// json returns the message as an object. Its error repeats method and URL, for
// clients that show nothing else.
func (m *message) json() []byte {
	whole := *m
	whole.Error += ": " + m.Method + " " + m.URL
	// A struct of strings can always be encoded.
	body, err := json.MarshalIndent(whole, "", "  ")
	if err != nil {
		return []byte("{}\n")
	}
	return append(body, '\n')
}

// prefersJSON tells whether an Accept header (RFC 9110 §12.5.1) names JSON, and
// no form of text that it likes better.
func prefersJSON(accept []string) bool {
	var forJSON, forText float64
	for _, value := range accept {
		for item := range strings.SplitSeq(value, ",") {
			mediaType, params, err := mime.ParseMediaType(item)
			if err != nil {
				continue
			}
			quality := 1.0
			if q, ok := params["q"]; ok {
				if quality, err = strconv.ParseFloat(q, 64); err != nil {
					continue
				}
			}
			switch {
			case mediaType == "application/json", strings.HasSuffix(mediaType, "+json"):
				forJSON = max(forJSON, quality)
			case strings.HasPrefix(mediaType, "text/"):
				forText = max(forText, quality)
			}
		}
	}
	return forJSON > 0 && forJSON >= forText
}
