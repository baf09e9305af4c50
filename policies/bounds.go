package policies

import (
	"bytes"
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// HCL's parser and evaluator call themselves for each bracket and for each
// operator, and a Go program can't survive the end of its stack. So what a
// source may hold is bounded before it is parsed.
const (
	// maxSourceBytes is the largest policy file that is read.
	maxSourceBytes = 1 << 20
	// maxNesting is how deep brackets may nest.
	maxNesting = 200
	// smallSourceBytes is a size up to which nothing else is counted: an
	// operator takes some KiB of stack, and there is 1 GiB of it.
	smallSourceBytes = 64 << 10
	// maxOperators is how many operators a larger source may have.
	maxOperators = 10_000
)

// checkSource refuses what would lead the parser too deep.
func checkSource(src []byte) error {
	if len(src) > maxSourceBytes {
		return fmt.Errorf("a policy is at most %d bytes", maxSourceBytes)
	}
	depth := 0
	for _, c := range src {
		switch c {
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			depth = max(depth-1, 0)
		}
		if depth > maxNesting {
			return fmt.Errorf("brackets nest deeper than %d", maxNesting)
		}
	}
	if len(src) > smallSourceBytes && operators(src) > maxOperators {
		return fmt.Errorf("a policy of more than %d bytes has at most %d operators", smallSourceBytes, maxOperators)
	}
	return nil
}

// operators counts the tokens of a source beyond those that plain lists,
// strings and blocks are made of. In JSON it counts the escapes of ASCII too,
// which could hide any of them.
func operators(src []byte) int {
	// What the lexer finds wrong the parser reports.
	tokens, _ := hclsyntax.LexConfig(src, "", hcl.InitialPos)
	count := bytes.Count(src, []byte(`\u00`))
	var last hclsyntax.TokenType
	for _, token := range tokens {
		switch token.Type {
		case hclsyntax.TokenIdent, hclsyntax.TokenNumberLit, hclsyntax.TokenOQuote, hclsyntax.TokenCQuote,
			hclsyntax.TokenComma, hclsyntax.TokenColon, hclsyntax.TokenEqual, hclsyntax.TokenNewline, hclsyntax.TokenComment,
			hclsyntax.TokenCBrack, hclsyntax.TokenOBrace, hclsyntax.TokenCBrace, hclsyntax.TokenOParen, hclsyntax.TokenCParen:
		case hclsyntax.TokenOBrack:
			if last == hclsyntax.TokenCBrack { // one index after another
				count++
			}
		case hclsyntax.TokenQuotedLit, hclsyntax.TokenStringLit:
			if last == token.Type { // a text in pieces
				count++
			}
		default:
			count++
		}
		last = token.Type
	}
	return count
}
