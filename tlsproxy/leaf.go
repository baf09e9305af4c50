package tlsproxy

import (
	"container/list"
	"crypto/tls"
	"sync"
)

// maxLeaves bounds the leaves that a session keeps: an agent can name any
// number of hosts, and a leaf costs about 2 kB.
const maxLeaves = 1024

// leafCache keeps the leaves used last, by host.
type leafCache struct {
	max int

	mu     sync.Mutex
	byHost map[string]*list.Element // of *leafEntry; guarded by mu
	recent *list.List               // most recently used first; guarded by mu
}

// leafEntry is one host's leaf, or the wait for it.
type leafEntry struct {
	host string
	once sync.Once
	cert *tls.Certificate // set by once
	err  error            // set by once
}

func newLeafCache(limit int) *leafCache {
	return &leafCache{max: limit, byHost: make(map[string]*list.Element), recent: list.New()}
}

// get returns the leaf for host, calling mint for it at most once however many
// callers wait. A failure is not kept.
func (c *leafCache) get(host string, mint func(string) (*tls.Certificate, error)) (*tls.Certificate, error) {
	entry := c.entry(host)
	entry.once.Do(func() { entry.cert, entry.err = mint(host) })
	if entry.err != nil {
		c.drop(entry)
	}
	return entry.cert, entry.err
}

// entry finds or adds the entry of host and marks it as used.
func (c *leafCache) entry(host string) *leafEntry {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byHost[host]; ok {
		c.recent.MoveToFront(e)
		return e.Value.(*leafEntry)
	}
	entry := &leafEntry{host: host}
	c.byHost[host] = c.recent.PushFront(entry)
	if c.recent.Len() > c.max {
		oldest := c.recent.Remove(c.recent.Back()).(*leafEntry)
		delete(c.byHost, oldest.host)
	}
	return entry
}

// drop forgets an entry, unless its place has been taken by another.
func (c *leafCache) drop(entry *leafEntry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byHost[entry.host]; ok && e.Value.(*leafEntry) == entry {
		c.recent.Remove(e)
		delete(c.byHost, entry.host)
	}
}
