package tlsproxy

import (
	"crypto/sha1"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"strings"
)

// subjectHash returns the name under which OpenSSL looks a certificate up in a
// directory, as X509_NAME_hash(3) does: eight hexadecimal digits of the SHA-1 of
// the subject in canonical form, where each value is a UTF8String in lower case
// with white space trimmed and collapsed, and the outer SEQUENCE is left out.
func subjectHash(cert *x509.Certificate) (string, error) {
	var name []asn1.RawValue // a SEQUENCE of SET
	if rest, err := asn1.Unmarshal(cert.RawSubject, &name); err != nil || len(rest) > 0 {
		return "", fmt.Errorf("read subject of certificate: malformed name")
	}
	sum := sha1.New()
	for _, set := range name {
		canonical, err := canonicalSet(set.Bytes)
		if err != nil {
			return "", err
		}
		sum.Write(canonical)
	}
	return fmt.Sprintf("%08x", binary.LittleEndian.Uint32(sum.Sum(nil))), nil
}

// attribute is AttributeTypeAndValue of RFC 5280 §4.1.2.4.
type attribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

// canonicalSet returns a relative distinguished name in OpenSSL's canonical form.
func canonicalSet(content []byte) ([]byte, error) {
	var set []attribute
	for len(content) > 0 {
		var a attribute
		rest, err := asn1.Unmarshal(content, &a)
		if err != nil {
			return nil, fmt.Errorf("read attribute of subject: %w", err)
		}
		content = rest
		switch a.Value.Tag {
		case asn1.TagUTF8String, asn1.TagPrintableString, asn1.TagIA5String, asn1.TagT61String:
			text := strings.Join(strings.Fields(lowerASCII(string(a.Value.Bytes))), " ")
			a.Value = asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(text)}
		}
		set = append(set, a)
	}
	der, err := asn1.MarshalWithParams(set, "set")
	if err != nil {
		return nil, fmt.Errorf("encode attribute of subject: %w", err)
	}
	return der, nil
}

// lowerASCII lowers the letters A to Z, and no others.
func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
