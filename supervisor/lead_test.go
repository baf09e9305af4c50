package supervisor

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestCaution(t *testing.T) {
	for _, tt := range []struct {
		name  string
		took  time.Duration
		pause time.Duration
		times int
		want  bool
	}{
		{"none", 0, 0, 0, false},
		{"many short answers", slowAnswer - 1, 0, 1000, false},
		{"many long ones", 10 * time.Millisecond, 0, 31, true},
		{"a few long ones", 10 * time.Millisecond, 0, 30, false},
		{"long ones now and then", 10 * time.Millisecond, slowWindow, 100, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var k caution
				for range tt.times {
					began := time.Now()
					time.Sleep(tt.took)
					k.took(began, time.Now())
					time.Sleep(tt.pause)
				}
				if got := k.on(); got != tt.want {
					t.Errorf("caution: %t, want %t", got, tt.want)
				}
				time.Sleep(cautionFor)
				if k.on() {
					t.Error("caution has no end")
				}
			})
		})
	}
}
