package supervisor

import (
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFrameWith(t *testing.T) {
	const sp = 0x7ffc_0000_1230
	f := &frame{argv: []uint64{1, 2}, envp: []uint64{3}, auxv: []uint64{6, 4096, 0, 0}}
	for name, test := range map[string]struct {
		args, env []string
		want      []uint64 // in place of addresses of texts: 100 and up
		texts     []string
	}{
		"environment": {nil, []string{"A=1", "LONG=12345678"}, []uint64{2, 1, 2, 0, 3, 100, 101, 0, 6, 4096, 0, 0}, []string{"A=1", "LONG=12345678"}},
		"argument":    {[]string{"-x"}, nil, []uint64{3, 1, 100, 2, 0, 3, 0, 6, 4096, 0, 0}, []string{"-x"}},
		"both":        {[]string{"-x"}, []string{"A="}, []uint64{3, 1, 100, 2, 0, 3, 101, 0, 6, 4096, 0, 0}, []string{"-x", "A="}},
	} {
		t.Run(name, func(t *testing.T) {
			at, image := f.with(sp, test.args, test.env)
			if at%stackAlign != 0 || at+uint64(len(image)) > sp {
				t.Errorf("the image lies at %#x, with %d bytes, below %#x", at, len(image), uint64(sp))
			}
			words := make([]uint64, len(test.want))
			found := uint64(0)
			for i := range words {
				words[i] = binary.NativeEndian.Uint64(image[i*pointerSize:])
				if words[i] < at || words[i] >= sp {
					continue
				}
				text := test.texts[found]
				if got := string(image[words[i]-at:][:len(text)+1]); got != text+"\x00" {
					t.Errorf("a pointer leads to %q, want %q", got, text)
				}
				words[i], found = 100+found, found+1
			}
			if diff := cmp.Diff(test.want, words); diff != "" {
				t.Errorf("frame (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFrameOfNothing(t *testing.T) {
	_, image := (&frame{auxv: []uint64{0, 0}}).with(1<<20, []string{"x"}, nil)
	if got := binary.NativeEndian.Uint64(image); got != 1 {
		t.Errorf("the program has %d arguments, want 1", got)
	}
}
