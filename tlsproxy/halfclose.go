package tlsproxy

import (
	"errors"
	"io"
	"net"
	"time"
)

// halfClosedLook is how often a connection is looked at whose agent has ended
// its own direction.
const halfClosedLook = 20 * time.Millisecond

// awaitAnswers holds the end of the agent's stream back while requests are being
// answered. To net/http it means that nobody waits for the answer any more; but
// an agent may end its direction and read on (shutdown(2)), as `nc -N` does.
// Whether it reads on only the supervisor knows: both ways to end look the same
// from here until something is written.
func (c *http1Conn) awaitAnswers() error {
	end := c.agent.flow.End
	if end == nil || c.Conn != net.Conn(c.agent) {
		return io.EOF // in TLS nobody does it
	}
	tick := time.NewTicker(halfClosedLook)
	defer tick.Stop()
	for look, ask := 0, 0; c.serving.Load() > 0; look++ {
		if look == ask {
			if !end.Held() {
				return io.EOF
			}
			ask += min(look+1, 64) // more seldom as time goes by
		}
		<-tick.C
		// It stays at its end; but net/http interrupts a read by a deadline.
		if _, err := c.Conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			return err
		}
	}
	return io.EOF
}
