package policies

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// FuzzParse checks that no text makes the decoder panic, and that there is
// either a policy or an error, never both and never neither.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/invalid/*.hcl")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src, false)
	}
	f.Add([]byte(everything), false)
	f.Add([]byte(routesPolicy), false)
	f.Add([]byte(`{"allow": {"a": {"hosts": ["${env.HOST}"]}}}`), true)
	f.Add([]byte(`{"allow": [{"a": {"hosts": null}}], "locals": {"x": "${local.x}"}}`), true)
	f.Add([]byte("allow \"x\" {\n  hosts = env.SECRET[*]\n}"), false)
	f.Fuzz(func(t *testing.T, src []byte, json bool) {
		name := "policy.hcl"
		if json {
			name = "policy.json"
		}
		p, diags := Parse(testOptions(), name, src)
		if (p == nil) != diags.HasErrors() {
			t.Fatalf("policy %v with diagnostics %v", p, diags)
		}
		var text bytes.Buffer
		if err := diags.Render(&text, false, 80); err != nil {
			t.Fatal(err)
		}
		if secret := []byte("Hunter2 is my secret"); bytes.Contains(text.Bytes(), secret) && !bytes.Contains(src, secret) {
			t.Fatalf("diagnostics show a value of the environment:\n%s", text.String())
		}
		if p != nil {
			p.Decide(get("a.example", "/"))
		}
	})
}
