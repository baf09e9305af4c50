package policies

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// fromEnv marks values that came from the environment, and what was made of
// them.
type fromEnv struct{}

// scope is what the expressions of one source can refer to.
type scope struct {
	d      *decoder
	locals map[string]*local
	// env holds the variables that were asked for so far.
	env map[string]cty.Value
	// secrets are their texts.
	secrets   []string
	functions map[string]function.Function
}

// local is a named value. It is evaluated when it is first needed.
type local struct {
	attr  *hcl.Attribute
	value cty.Value
	ok    bool
	state localState
}

type localState uint8

const (
	localNew localState = iota
	localOpen
	localDone
)

// newScope reads the `locals` blocks of a source and evaluates all of them, so
// that a mistake in one that nothing uses is shown too.
func (d *decoder) newScope(blocks hcl.Blocks) *scope {
	s := &scope{d: d, locals: map[string]*local{}, env: map[string]cty.Value{}, functions: functions()}
	for _, block := range blocks {
		attrs, diags := block.Body.JustAttributes()
		d.diags.add(diags)
		for name, attr := range attrs {
			if first := s.locals[name]; first != nil {
				d.diags.errorAt(attr.NameRange, "Duplicate local", "The local %q is set at %s already.", name, place(first.attr.NameRange))
				continue
			}
			s.locals[name] = &local{attr: attr}
		}
	}
	for _, name := range s.localNames() {
		s.force(s.locals[name])
	}
	return s
}

func (s *scope) localNames() []string { return slices.Sorted(maps.Keys(s.locals)) }

// force evaluates a local once. Locals may refer to each other in any order.
func (s *scope) force(l *local) {
	if l.state != localNew {
		return
	}
	l.state = localOpen
	l.value, l.ok = s.eval(l.attr.Expr)
	l.state = localDone
}

// eval evaluates an expression. Where it can't, the diagnostics say why and
// the result is false.
func (s *scope) eval(expr hcl.Expression) (cty.Value, bool) {
	ctx, ok := s.context(expr.Variables())
	if !ok {
		return cty.NilVal, false
	}
	value, diags := expr.Value(ctx)
	for _, diag := range diags {
		if slices.ContainsFunc(s.secrets, func(secret string) bool { return strings.Contains(diag.Detail, secret) }) {
			diag.Detail = "The expression can't be evaluated. What is wrong is not shown, as it holds a value from the environment."
		}
	}
	s.d.diags.add(diags)
	if diags.HasErrors() {
		return cty.NilVal, false
	}
	if !value.IsWhollyKnown() {
		s.d.diags.errorAt(expr.Range(), "Unknown value", "The value of this expression is not known before something runs.")
		return cty.NilVal, false
	}
	return value, true
}

// context gives an expression the variables that it names. Every bad name is
// reported. A local that has its diagnostics already makes the result false
// without another.
func (s *scope) context(traversals []hcl.Traversal) (*hcl.EvalContext, bool) {
	locals, env := map[string]cty.Value{}, map[string]cty.Value{}
	ok := true
	for _, t := range traversals {
		root := t.RootName()
		if root != "local" && root != "env" {
			continue // HCL reports it, with the names that there are.
		}
		name, named := attrName(t)
		if !named {
			s.d.diags.errorAt(t.SourceRange(), "Invalid reference", "Name one value, as in %s.NAME: %q as a whole is not a value.", root, root)
			ok = false
			continue
		}
		var value cty.Value
		var found bool
		if root == "local" {
			value, found = s.localValue(name, t.SourceRange())
			locals[name] = value
		} else {
			value, found = s.envValue(name, t.SourceRange())
			env[name] = value
		}
		ok = ok && found
	}
	if !ok {
		return nil, false
	}
	return &hcl.EvalContext{
		Variables: map[string]cty.Value{"local": cty.ObjectVal(locals), "env": cty.ObjectVal(env)},
		Functions: s.functions,
	}, true
}

// attrName returns NAME of local.NAME or local["NAME"].
func attrName(t hcl.Traversal) (string, bool) {
	if len(t) < 2 {
		return "", false
	}
	switch step := t[1].(type) {
	case hcl.TraverseAttr:
		return step.Name, true
	case hcl.TraverseIndex:
		return readString(step.Key)
	}
	return "", false
}

func (s *scope) localValue(name string, at hcl.Range) (cty.Value, bool) {
	l := s.locals[name]
	if l == nil {
		s.d.diags.errorAt(at, "Unknown local", "No locals block of this file sets %q.%s", name, closest(name, s.localNames()))
		return cty.NilVal, false
	}
	if l.state == localOpen {
		s.d.diags.errorAt(at, "Circular local", "The value of the local %q refers back to itself.", name)
		return cty.NilVal, false
	}
	s.force(l)
	return l.value, l.ok
}

func (s *scope) envValue(name string, at hcl.Range) (cty.Value, bool) {
	if value, ok := s.env[name]; ok {
		return value, true
	}
	text, ok := "", false
	if s.d.opts.Env != nil {
		text, ok = s.d.opts.Env(name)
	}
	if !ok {
		s.d.diags.errorAt(at, "Missing environment variable", "%q is not set in the environment that boundary was started in. Set it, or write the value here.", name)
		return cty.NilVal, false
	}
	if !utf8.ValidString(text) {
		s.d.diags.errorAt(at, "Invalid environment variable", "The value of %q is not UTF-8.", name)
		return cty.NilVal, false
	}
	if text != "" {
		s.secrets = append(s.secrets, text)
	}
	value := cty.StringVal(text).Mark(fromEnv{})
	s.env[name] = value
	return value, true
}

// functions are cty's own on strings and lists.
func functions() map[string]function.Function {
	return map[string]function.Function{
		"chomp":        stdlib.ChompFunc,
		"coalesce":     stdlib.CoalesceFunc,
		"coalescelist": stdlib.CoalesceListFunc,
		"compact":      stdlib.CompactFunc,
		"concat":       stdlib.ConcatFunc,
		"contains":     stdlib.ContainsFunc,
		"distinct":     stdlib.DistinctFunc,
		"element":      stdlib.ElementFunc,
		"flatten":      stdlib.FlattenFunc,
		"format":       stdlib.FormatFunc,
		"formatlist":   stdlib.FormatListFunc,
		"index":        stdlib.IndexFunc,
		"join":         stdlib.JoinFunc,
		"keys":         stdlib.KeysFunc,
		"length":       stdlib.LengthFunc,
		"lookup":       stdlib.LookupFunc,
		"lower":        stdlib.LowerFunc,
		"merge":        stdlib.MergeFunc,
		"replace":      stdlib.ReplaceFunc,
		"reverse":      stdlib.ReverseListFunc,
		"slice":        stdlib.SliceFunc,
		"sort":         stdlib.SortFunc,
		"split":        stdlib.SplitFunc,
		"strlen":       stdlib.StrlenFunc,
		"strrev":       stdlib.ReverseFunc,
		"substr":       stdlib.SubstrFunc,
		"title":        stdlib.TitleFunc,
		"trim":         stdlib.TrimFunc,
		"trimprefix":   stdlib.TrimPrefixFunc,
		"trimspace":    stdlib.TrimSpaceFunc,
		"trimsuffix":   stdlib.TrimSuffixFunc,
		"upper":        stdlib.UpperFunc,
		"values":       stdlib.ValuesFunc,
		"zipmap":       stdlib.ZipmapFunc,
	}
}
