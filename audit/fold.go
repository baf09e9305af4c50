package audit

import (
	"cmp"
	"slices"
	"strconv"
	"time"
)

// How denials are folded.
const (
	// A denial that comes again is counted, and the count is shown after firstWindow, then after twice as long, up to
	// lastWindow. A window without a repeat ends it: after that the denial is shown anew.
	firstWindow = time.Second
	lastWindow  = time.Minute

	// At most burst different denials are shown at once, and from then on one each refill. Those beyond that are only
	// counted, so an agent that makes up paths can't fill the screen.
	burst  = 20
	refill = time.Second

	// maxFolds is how many different denials are kept in mind.
	maxFolds = 256
)

// folder decides which denials are shown, and when. It has no clock of its own: the caller says what time it is.
type folder struct {
	folds    map[sameAs]*fold
	hidden   *fold     // denials that are neither shown nor folded; nil if there are none
	shown    int       // denials that were ever shown, to order them by
	left     int       // lines that may be shown at once
	refilled time.Time // when left was last right
}

// fold counts what is not shown one by one.
type fold struct {
	denial denial
	order  int
	count  uint64 // since a line last told of it
	window time.Duration
	ends   time.Time // of the window
}

func newFolder(now time.Time) *folder {
	return &folder{folds: make(map[sameAs]*fold), left: burst, refilled: now}
}

// add takes a denial and returns the line to show, or "" if it is only counted.
func (f *folder) add(now time.Time, d denial) string {
	if known := f.folds[d.key()]; known != nil {
		known.count++
		return ""
	}
	if len(f.folds) == maxFolds || !f.take(now) {
		f.hide(now, 1)
		return ""
	}
	f.shown++
	f.folds[d.key()] = &fold{denial: d, order: f.shown, window: firstWindow, ends: now.Add(firstWindow)}
	return d.line()
}

// hide counts denials of which nothing is known but their number.
func (f *folder) hide(now time.Time, n uint64) {
	if f.hidden == nil {
		f.hidden = &fold{window: firstWindow, ends: now.Add(firstWindow)}
	}
	f.hidden.count += n
}

// take uses up one line, if one is left.
func (f *folder) take(now time.Time) bool {
	if n := now.Sub(f.refilled) / refill; n > 0 {
		f.left = int(min(burst, time.Duration(f.left)+n))
		f.refilled = f.refilled.Add(n * refill)
	}
	if f.left == 0 {
		return false
	}
	f.left--
	return true
}

// due returns the lines for the windows that have ended, in the order in which the denials were first shown.
func (f *folder) due(now time.Time) []string {
	var ended []*fold
	for key, fold := range f.folds {
		if now.Before(fold.ends) {
			continue
		}
		if fold.count == 0 {
			delete(f.folds, key)
			continue
		}
		ended = append(ended, fold)
	}
	lines := repeatLines(ended)
	if f.hidden != nil && !now.Before(f.hidden.ends) {
		if f.hidden.count == 0 {
			f.hidden = nil
		} else {
			lines = append(lines, hiddenLine(f.hidden.count))
			ended = append(ended, f.hidden)
		}
	}
	for _, fold := range ended {
		fold.count = 0
		fold.window = min(2*fold.window, lastWindow)
		fold.ends = now.Add(fold.window)
	}
	return lines
}

// next returns when due is to be called, and false if there is nothing to wait for.
func (f *folder) next() (at time.Time, ok bool) {
	if f.hidden != nil {
		at, ok = f.hidden.ends, true
	}
	for _, fold := range f.folds {
		if !ok || fold.ends.Before(at) {
			at, ok = fold.ends, true
		}
	}
	return at, ok
}

// flush returns the lines for all that was counted and not shown, and forgets all.
func (f *folder) flush() []string {
	var counted []*fold
	for _, fold := range f.folds {
		if fold.count > 0 {
			counted = append(counted, fold)
		}
	}
	lines := repeatLines(counted)
	if f.hidden != nil && f.hidden.count > 0 {
		lines = append(lines, hiddenLine(f.hidden.count))
	}
	clear(f.folds)
	f.hidden = nil
	return lines
}

func repeatLines(folds []*fold) []string {
	slices.SortFunc(folds, func(a, b *fold) int { return cmp.Compare(a.order, b.order) })
	var lines []string
	for _, fold := range folds {
		lines = append(lines, fold.denial.repeats(fold.count))
	}
	return lines
}

func hiddenLine(n uint64) string {
	return "denied " + strconv.FormatUint(n, 10) + " more, not shown one by one; the audit log has each"
}
