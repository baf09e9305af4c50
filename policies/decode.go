package policies

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	hcljson "github.com/hashicorp/hcl/v2/json"
	"github.com/zclconf/go-cty/cty"
)

// rawRule is a rule as it was written. Arguments that were not given are nil.
type rawRule struct {
	deny     bool
	name     item
	at       hcl.Range
	protocol *item
	hosts    *rawList
	ports    *rawList
	methods  *rawList
	paths    *rawList
	process  *rawList
	ancestor *rawList
	private  *item
	maxBytes *item
}

// rawResolve is one element of `upstream.resolve`.
type rawResolve struct {
	key, value item
}

// decoder collects what the sources say.
type decoder struct {
	opts  Options
	diags *Diagnostics
	specs specFile

	rules   []rawRule
	resolve []rawResolve
	caFiles []item
	proxies []item
	require []item
	public  []*rawList
}

func newDecoder(opts Options) *decoder {
	return &decoder{opts: opts, diags: &Diagnostics{files: map[string]*hcl.File{}}}
}

// decodeFile reads one source, and stops early only where its syntax is broken.
func (d *decoder) decodeFile(source Source) {
	if slices.Contains(d.diags.names, source.name) {
		d.diags.errorIn("Duplicate policy", fmt.Sprintf("Two policies have the name %q.", source.name))
		return
	}
	d.diags.names = append(d.diags.names, source.name)
	src, err := source.read()
	if err == nil {
		err = checkSource(src)
	}
	if err != nil {
		d.diags.errorIn("Unreadable policy", fmt.Sprintf("%s: %v.", source.name, err))
		return
	}
	file, diags := parseSource(source.name, src)
	if file != nil {
		d.diags.files[source.name] = file
	}
	d.diags.add(diags)
	if usable(diags) {
		d.decodeBody(file.Body)
	}
}

// usable says whether a body was parsed as a whole. Of the errors of the
// parser only one leaves it so: an argument that is written twice.
func usable(diags hcl.Diagnostics) bool {
	return !slices.ContainsFunc(diags, func(diag *hcl.Diagnostic) bool {
		return diag.Severity == hcl.DiagError && diag.Summary != "Attribute redefined"
	})
}

func parseSource(name string, src []byte) (*hcl.File, hcl.Diagnostics) {
	if strings.HasSuffix(name, ".json") {
		return hcljson.Parse(src, name)
	}
	return hclsyntax.ParseConfig(src, name, hcl.InitialPos)
}

// later ends the diagnostic of what the language has and this version does not
// enforce yet. The schemas know these names, so that they get it.
const later = "is part of the policy language, but not supported by this version of boundary. Remove it: what is not enforced is never ignored."

func topSchema() *hcl.BodySchema {
	return &hcl.BodySchema{
		Attributes: attributes("require", "include", "mode"),
		Blocks: []hcl.BlockHeaderSchema{
			{Type: "allow", LabelNames: []string{"name"}},
			{Type: "deny", LabelNames: []string{"name"}},
			{Type: "locals"},
			{Type: "upstream"},
			{Type: "listen"},
			{Type: "audit"},
			{Type: "test", LabelNames: []string{"name"}},
		},
	}
}

func ruleSchema() *hcl.BodySchema {
	return &hcl.BodySchema{
		Attributes: attributes("hosts", "ports", "protocol", "methods", "paths", "process", "ancestor", "private", "max_request_bytes"),
		Blocks:     []hcl.BlockHeaderSchema{{Type: "inject"}},
	}
}

func attributes(names ...string) []hcl.AttributeSchema {
	schemas := make([]hcl.AttributeSchema, len(names))
	for i, name := range names {
		schemas[i].Name = name
	}
	return schemas
}

// content reads a body by its schema. Argument names in future are refused.
func (d *decoder) content(body hcl.Body, schema *hcl.BodySchema, future ...string) *hcl.BodyContent {
	content, diags := body.Content(schema)
	nearest(diags, schema)
	d.diags.add(diags)
	for _, name := range future {
		if attr := content.Attributes[name]; attr != nil {
			d.diags.errorAt(attr.NameRange, "Unsupported argument", "%q %s", name, later)
		}
	}
	return content
}

// nearest makes HCL's own suggestions name the closest argument or block, where
// it names the first that is close.
func nearest(diags hcl.Diagnostics, schema *hcl.BodySchema) {
	var known []string
	for _, attr := range schema.Attributes {
		known = append(known, attr.Name)
	}
	for _, block := range schema.Blocks {
		known = append(known, block.Type)
	}
	for _, diag := range diags {
		before, _, suggests := strings.Cut(diag.Detail, suggestion)
		if written := quoted(before); suggests && written != "" {
			diag.Detail = before + closest(written, known)
		}
	}
}

// quoted returns what stands between the first two quotation marks of a text.
func quoted(text string) string {
	_, after, _ := strings.Cut(text, `"`)
	inner, _, _ := strings.Cut(after, `"`)
	return inner
}

func (d *decoder) decodeBody(body hcl.Body) {
	content := d.content(body, topSchema(), "include", "mode")
	s := d.newScope(content.Blocks.OfType("locals"))
	if attr := content.Attributes["require"]; attr != nil {
		d.require = append(d.require, s.list(attr, stringElement).items...)
	}
	for _, block := range content.Blocks {
		switch block.Type {
		case "allow", "deny":
			d.rules = append(d.rules, s.rule(block))
		case "upstream":
			s.upstream(block)
		case "listen":
			s.listen(block)
		case "audit", "test":
			d.diags.errorAt(block.DefRange, "Unsupported block", "%q %s", block.Type, later)
		}
	}
}

// rule decodes an allow or a deny.
func (s *scope) rule(block *hcl.Block) rawRule {
	content := s.d.content(block.Body, ruleSchema())
	for _, b := range content.Blocks {
		s.d.diags.errorAt(b.DefRange, "Unsupported block", "%q %s", b.Type, later)
	}
	raw := rawRule{
		deny: block.Type == "deny",
		name: item{text: block.Labels[0], at: block.LabelRanges[0]},
		at:   block.DefRange,
	}
	lists := map[string]**rawList{
		"hosts": &raw.hosts, "methods": &raw.methods, "paths": &raw.paths,
		"process": &raw.process, "ancestor": &raw.ancestor,
	}
	for name, list := range lists {
		if attr := content.Attributes[name]; attr != nil {
			*list = s.list(attr, stringElement)
		}
	}
	if attr := content.Attributes["ports"]; attr != nil {
		raw.ports = s.list(attr, portElement)
	}
	scalars := map[string]struct {
		to *(*item)
		ty cty.Type
	}{
		"protocol":          {&raw.protocol, cty.String},
		"private":           {&raw.private, cty.Bool},
		"max_request_bytes": {&raw.maxBytes, cty.Number},
	}
	for name, scalar := range scalars {
		if attr := content.Attributes[name]; attr != nil {
			*scalar.to = s.scalar(attr, scalar.ty)
		}
	}
	return raw
}

func (s *scope) upstream(block *hcl.Block) {
	content := s.d.content(block.Body, &hcl.BodySchema{Attributes: attributes("resolve", "ca_file", "proxy")})
	if attr := content.Attributes["ca_file"]; attr != nil {
		if file := s.scalar(attr, cty.String); !file.bad {
			s.d.caFiles = append(s.d.caFiles, relativeTo(attr.Range.Filename, *file))
		}
	}
	if attr := content.Attributes["proxy"]; attr != nil {
		if proxy := s.scalar(attr, cty.String); !proxy.bad {
			s.d.proxies = append(s.d.proxies, *proxy)
		}
	}
	if attr := content.Attributes["resolve"]; attr != nil {
		s.d.resolve = append(s.d.resolve, s.resolve(attr)...)
	}
}

// relativeTo makes the path of a file one that starts at the policy's folder.
func relativeTo(policy string, file item) item {
	if file.text != "" && !filepath.IsAbs(file.text) {
		file.text = filepath.Join(filepath.Dir(policy), file.text)
	}
	return file
}

func (s *scope) listen(block *hcl.Block) {
	content := s.d.content(block.Body, &hcl.BodySchema{Attributes: attributes("public")})
	if attr := content.Attributes["public"]; attr != nil {
		s.d.public = append(s.d.public, s.list(attr, portElement))
	}
}
