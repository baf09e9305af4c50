package policies

import (
	"fmt"
	"math/big"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// list decodes a list argument. Where it is spelled out each element has its
// own place, else all have that of the whole expression.
func (s *scope) list(attr *hcl.Attribute, element elementReader) *rawList {
	list := &rawList{at: attr.Expr.Range()}
	if exprs, diags := hcl.ExprList(attr.Expr); !diags.HasErrors() {
		list.empty = len(exprs) == 0
		for _, expr := range exprs {
			if value, ok := s.eval(expr); ok {
				s.addElement(list, attr.Name, value, expr.Range(), element)
			}
		}
		return list
	}
	value, ok := s.eval(attr.Expr)
	if !ok {
		list.bad = true
		return list
	}
	value, marks := value.Unmark()
	if ty := value.Type(); value.IsNull() || !(ty.IsTupleType() || ty.IsListType() || ty.IsSetType()) {
		s.d.diags.errorAt(list.at, "Invalid "+attr.Name, "%q is a list, written in brackets as in %s = %s; found %s.",
			attr.Name, attr.Name, element.example, kindOf(value))
		list.bad = true
		return list
	}
	list.empty = value.LengthInt() == 0
	for it := value.ElementIterator(); it.Next(); {
		_, v := it.Element()
		s.addElement(list, attr.Name, v.WithMarks(marks), list.at, element)
	}
	return list
}

func (s *scope) addElement(list *rawList, name string, value cty.Value, at hcl.Range, element elementReader) {
	value, marks := value.Unmark()
	text, ok := element.read(value)
	if !ok {
		s.d.diags.errorAt(at, "Invalid "+name, "An element of %q is %s, as in %s; found %s.", name, element.what, element.example, kindOf(value))
		return
	}
	list.items = append(list.items, item{text: text, at: at, secret: len(marks) > 0})
}

// elementReader says what the elements of a list are.
type elementReader struct {
	read          func(cty.Value) (string, bool)
	what, example string
}

var (
	stringElement = elementReader{read: readString, what: "a string", example: `["…"]`}
	portElement   = elementReader{read: readPort, what: "a number or a range in quotes", example: `[443, "8000-8999"]`}
)

func readString(v cty.Value) (string, bool) {
	if v.IsNull() || v.Type() != cty.String {
		return "", false
	}
	return v.AsString(), true
}

func readPort(v cty.Value) (string, bool) {
	if v.IsNull() || v.Type() != cty.Number {
		return readString(v)
	}
	return numberText(v.AsBigFloat()), true
}

// numberText writes whole numbers without exponent, and keeps the length of
// others in bounds.
func numberText(f *big.Float) string {
	if n, accuracy := f.Int64(); accuracy == big.Exact {
		return fmt.Sprint(n)
	}
	return f.Text('g', 20)
}

// scalar decodes an argument of one primitive type, as text.
func (s *scope) scalar(attr *hcl.Attribute, want cty.Type) *item {
	result := &item{at: attr.Expr.Range()}
	value, ok := s.eval(attr.Expr)
	if !ok {
		result.bad = true
		return result
	}
	value, marks := value.Unmark()
	result.secret = len(marks) > 0
	if value.IsNull() || value.Type() != want {
		s.d.diags.errorAt(result.at, "Invalid "+attr.Name, "%q is a %s; found %s.", attr.Name, want.FriendlyName(), kindOf(value))
		result.bad = true
		return result
	}
	switch want {
	case cty.String:
		result.text = value.AsString()
	case cty.Bool:
		result.text = fmt.Sprint(value.True())
	default:
		result.text = numberText(value.AsBigFloat())
	}
	return result
}

// resolve decodes the map of upstream.resolve.
func (s *scope) resolve(attr *hcl.Attribute) []rawResolve {
	pairs, diags := hcl.ExprMap(attr.Expr)
	if diags.HasErrors() {
		return s.resolveValue(attr)
	}
	var all []rawResolve
	for _, pair := range pairs {
		key, keyOK := s.evalString(attr.Name, pair.Key)
		value, valueOK := s.evalString(attr.Name, pair.Value)
		if keyOK && valueOK {
			all = append(all, rawResolve{key: key, value: value})
		}
	}
	return all
}

// resolveValue decodes a map that is not spelled out.
func (s *scope) resolveValue(attr *hcl.Attribute) []rawResolve {
	at := attr.Expr.Range()
	value, ok := s.eval(attr.Expr)
	if !ok {
		return nil
	}
	value, marks := value.Unmark()
	if ty := value.Type(); value.IsNull() || !(ty.IsObjectType() || ty.IsMapType()) {
		s.d.diags.errorAt(at, "Invalid resolve", "\"resolve\" is a map, as in { \"api.example.com\" = \"127.0.0.1:8443\" }; found %s.", kindOf(value))
		return nil
	}
	var all []rawResolve
	for it := value.ElementIterator(); it.Next(); {
		k, v := it.Element()
		v, valueMarks := v.Unmark()
		text, ok := readString(v)
		if !ok {
			s.d.diags.errorAt(at, "Invalid resolve", "A value of \"resolve\" is a string, as in \"127.0.0.1:8443\"; found %s.", kindOf(v))
			continue
		}
		all = append(all, rawResolve{
			key:   item{text: k.AsString(), at: at, secret: len(marks) > 0},
			value: item{text: text, at: at, secret: len(marks)+len(valueMarks) > 0},
		})
	}
	return all
}

// evalString evaluates one string of a list or map.
func (s *scope) evalString(name string, expr hcl.Expression) (item, bool) {
	value, ok := s.eval(expr)
	if !ok {
		return item{}, false
	}
	value, marks := value.Unmark()
	text, ok := readString(value)
	if !ok {
		s.d.diags.errorAt(expr.Range(), "Invalid "+name, "A string stands here; found %s.", kindOf(value))
		return item{}, false
	}
	return item{text: text, at: expr.Range(), secret: len(marks) > 0}, true
}

// kindOf names the type of a value for a message, never the value itself.
func kindOf(v cty.Value) string {
	if v.IsNull() {
		return "null"
	}
	name := v.Type().FriendlyName()
	if strings.HasPrefix(name, "object") {
		return "an " + name
	}
	return "a " + name
}
