package policies

import "slices"

// Decide answers a request. It is a pure function of the policy and the
// request, and whatever it can't judge it denies.
func (p *Policy) Decide(r Request) Decision {
	q, reason := p.newQuery(r)
	if reason != "" {
		return Decision{Reason: reason}
	}
	if deny := p.firstDeny(&q, matchesWhole); deny != nil {
		return deny.decision(ReasonRule)
	}
	var limit int64 = -1
	var chosen *rule
	for _, method := range q.methods[:q.nMethods] {
		best, reason := p.bestAllow(&q, method)
		if best == nil {
			return Decision{Reason: ReasonDefault}
		}
		if reason != "" {
			return best.decision(reason)
		}
		limit = lesserLimit(limit, best.maxBytes)
		if chosen == nil {
			chosen = best
		}
	}
	if q.protocol&opaque != 0 {
		if deny := p.firstDeny(&q, matchesWithin); deny != nil {
			return deny.decision(ReasonHTTPDeny)
		}
	}
	d := chosen.decision(ReasonRule)
	d.Allowed = true
	d.MaxRequestBytes = limit
	return d
}

// decision names the rule, and denies until told otherwise.
func (r *rule) decision(reason string) Decision {
	return Decision{Rule: r.name, RuleAt: r.at, Reason: reason}
}

// firstDeny returns the first deny that matches a query in a given way.
func (p *Policy) firstDeny(q *query, matches func(*rule, *query) bool) *rule {
	var first *rule
	p.denying(q, func(r *rule) bool {
		if (first == nil || r.order < first.order) && matches(r, q) {
			first = r
		}
		return true
	})
	return first
}

// matchesWhole says whether a deny is about the request, under any of its
// methods.
func matchesWhole(r *rule, q *query) bool {
	if !r.matchesRoute(q) || !r.matchesPath(q.readings) {
		return false
	}
	return slices.ContainsFunc(q.methods[:q.nMethods], r.matchesMethod)
}

// matchesWithin says whether a deny is about HTTP requests that could be within
// the connection that is asked for. Rules about the connection itself were
// asked before.
func matchesWithin(r *rule, q *query) bool {
	return r.onlyHTTP() && r.matchesPort(q.port) && r.matchesProcess(q.process)
}

// matchesRoute compares all but host, method and path.
func (r *rule) matchesRoute(q *query) bool {
	if r.protocols&q.protocol == 0 {
		return false
	}
	return (q.protocol == protoUnix || r.matchesPort(q.port)) && r.matchesProcess(q.process)
}

// bestAllow returns the allow that lets most through, so that the order of the
// rules has no say. Where each that matches refuses the address, it returns the
// first of them with the reason.
func (p *Policy) bestAllow(q *query, method string) (best *rule, reason string) {
	p.allowing(q, func(r *rule) bool {
		if !r.matchesRoute(q) || !r.matchesMethod(method) || !r.matchesPath(q.readings) {
			return true
		}
		refusal := r.refusesAddr(q)
		if best == nil || better(r, refusal, best, reason) {
			best, reason = r, refusal
		}
		return true
	})
	return best, reason
}

// better says whether allow a is to be preferred to allow b.
func better(a *rule, aReason string, b *rule, bReason string) bool {
	switch {
	case (aReason == "") != (bReason == ""):
		return aReason == ""
	case aReason == "" && a.maxBytes != b.maxBytes:
		return lesserLimit(a.maxBytes, b.maxBytes) == b.maxBytes
	}
	return a.order < b.order
}

// lesserLimit returns the stricter of two limits, of which -1 is none.
func lesserLimit(a, b int64) int64 {
	switch {
	case a < 0:
		return b
	case b < 0:
		return a
	}
	return min(a, b)
}

// refusesAddr returns why an allow does not cover the addresses of a query.
func (r *rule) refusesAddr(q *query) (reason string) {
	switch {
	case q.class&addrUnusable != 0:
		return ReasonUnusableAddress
	case q.class&addrMetadata != 0 && !r.namesMetadata(q):
		return ReasonMetadataAddress
	case q.class&addrPrivate != 0 && !r.private:
		return ReasonPrivateAddress
	}
	return ""
}

// namesMetadata says whether a rule spells out each link-local or metadata
// address of a query.
func (r *rule) namesMetadata(q *query) bool {
	for _, addr := range q.addrs[:q.nAddrs] {
		if classify(addr)&addrMetadata != 0 && !r.namesAddr(addr) {
			return false
		}
	}
	return true
}
