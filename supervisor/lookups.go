package supervisor

import (
	"context"
	"sync"
	"time"
)

// lookupCache is how long an answer from outside is used again, whatever its
// time to live: a CDN rotates. How often a question is repeated meanwhile nobody
// outside is told.
const lookupCache = 5 * time.Second

// lookups keeps what was asked outside for a while. Those who ask the same at
// once share one look-up.
type lookups[K comparable, V any] struct {
	mu    sync.Mutex
	cache map[K]*lookup[V] // guarded by mu
}

// lookup is under way until done is closed.
type lookup[V any] struct {
	done  chan struct{}
	until time.Time // guarded by lookups.mu
	value V
	err   error
}

func newLookups[K comparable, V any]() *lookups[K, V] {
	return &lookups[K, V]{cache: map[K]*lookup[V]{}}
}

// get returns what fetch found out for a key, an error too. The value is shared.
// fetch goes on where ctx ends before it: others may wait for it.
func (l *lookups[K, V]) get(ctx context.Context, key K, fetch func() (V, error)) (V, error) {
	l.mu.Lock()
	look := l.cache[key]
	if look == nil || !look.until.IsZero() && time.Now().After(look.until) {
		look = &lookup[V]{done: make(chan struct{})}
		if len(l.cache) >= maxPeers {
			clear(l.cache)
		}
		l.cache[key] = look
		go l.fetch(look, fetch)
	}
	l.mu.Unlock()
	select {
	case <-look.done:
		return look.value, look.err
	case <-ctx.Done():
		var none V
		return none, ctx.Err()
	}
}

func (l *lookups[K, V]) fetch(look *lookup[V], fetch func() (V, error)) {
	look.value, look.err = fetch()
	l.mu.Lock()
	look.until = time.Now().Add(lookupCache)
	l.mu.Unlock()
	close(look.done)
}
