package policies

import (
	"fmt"
	"io"
	"os"
)

// Options are what a policy may refer to outside its sources.
type Options struct {
	// Env looks up a variable of the supervisor's environment, as
	// [os.LookupEnv] does, for `env.NAME`. It is asked only for the names that
	// a policy spells. Where it is nil no variable is set.
	Env func(name string) (value string, ok bool)
	// Guards are the names that `require` may list.
	Guards []string
}

// Source is one part of a policy. The sources of a policy are taken together,
// in no order; `locals` are seen only within their own source.
type Source struct {
	// name is shown in diagnostics, and `file:line` is made of it.
	name string
	// read returns the content of a policy file; nil for a spec.
	read func() ([]byte, error)
	// file says that name is a path, and so that the same name is the same text.
	file bool
	spec *spec
}

// File is the policy file at a path, read when the policy is made. JSON is
// read where the name ends in ".json", else HCL's native syntax.
func File(path string) Source {
	return Source{name: path, file: true, read: func() ([]byte, error) { return readPolicyFile(path) }}
}

// Text is a policy that was read already; its name says which syntax it has,
// as for [File].
func Text(name string, src []byte) Source {
	return Source{name: name, read: func() ([]byte, error) { return src, nil }}
}

// Load makes a policy of files. See [Compile].
func Load(opts Options, files ...string) (*Policy, *Diagnostics) {
	sources := make([]Source, len(files))
	for i, file := range files {
		sources[i] = File(file)
	}
	return Compile(opts, sources...)
}

// Parse makes a policy of one text. See [Compile].
func Parse(opts Options, name string, src []byte) (*Policy, *Diagnostics) {
	return Compile(opts, Text(name, src))
}

// Compile makes one policy of all the sources. All that is wrong with them is
// reported in one go. The policy is nil if, and only if, the diagnostics have
// errors; they may hold warnings beside a policy. A file, or a spec, that is
// given twice counts once.
func Compile(opts Options, sources ...Source) (*Policy, *Diagnostics) {
	d := newDecoder(opts)
	files := map[string]bool{}
	for _, source := range sources {
		switch {
		case source.spec != nil:
			d.specs.add(*source.spec)
		case source.file && files[source.name]:
			// The same file again.
		default:
			files[source.name] = source.file
			d.decodeFile(source)
		}
	}
	d.decodeSpecs()
	checked := validate(d)
	d.diags.sort()
	if d.diags.HasErrors() {
		return nil, d.diags
	}
	return compile(checked), d.diags
}

// readPolicyFile reads a file up to the largest size of a policy.
func readPolicyFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open policy: %w", err)
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, maxSourceBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read policy: %w", err)
	}
	return src, nil
}
