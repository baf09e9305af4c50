package supervisor

import (
	"testing"
	"testing/synctest"
)

// TestTurns has many calls of one group, and one of another, ask for a turn.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTurns(turnsEach)
		const many, other, calls = 1, 2, 100
		running := make(chan struct{}, calls)
		done := make(chan struct{})
		for range calls {
			go func() {
				s.take(many, nil)
				running <- struct{}{}
				<-done
				s.give(many)
			}()
		}
		synctest.Wait()
		if len(running) != turnsEach {
			t.Errorf("%d calls run, want %d", len(running), turnsEach)
		}
		s.take(other, nil) // does not wait for them
		s.give(other)
		done <- struct{}{}
		synctest.Wait()
		if len(running) != turnsEach+1 {
			t.Errorf("%d calls have run, want %d", len(running), turnsEach+1)
		}
		close(done)
		synctest.Wait()
		if len(running) != calls {
			t.Errorf("%d calls have run, want %d", len(running), calls)
		}
		if len(s.groups) != 0 {
			t.Errorf("left behind: %v", s.groups)
		}
	})
}
