package integration

import (
	"bytes"
	"fmt"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// stream is an HTTP/2 request, as it is sent: valid or not.
type stream struct {
	fields   [][2]string
	data     string      // in one frame
	trailers [][2]string // in a second block
}

// ordinary returns a request that the policy allows, with some of its fields
// replaced, and more behind them.
func ordinary(scheme string, replace map[string]string, more ...[2]string) [][2]string {
	fields := [][2]string{{":method", "GET"}, {":scheme", scheme}, {":authority", openHost}, {":path", "/open/" + mark}}
	var all [][2]string
	for _, field := range fields {
		if value, ok := replace[field[0]]; ok {
			field[1] = value
		}
		if field[1] != "-" {
			all = append(all, field)
		}
	}
	return append(all, more...)
}

// http2Attempts returns the attempts in HTTP/2, for a scheme.
func http2Attempts(scheme string) []attempt {
	const request = "/open/ HTTP/1.1\r\nHost: " + openHost + "\r\n\r\n" + hidden
	with := func(replace map[string]string, more ...[2]string) stream {
		return stream{fields: ordinary(scheme, replace, more...)}
	}
	streams := map[string]stream{
		"method":                 with(map[string]string{":method": "DELETE"}),
		"method in lower case":   with(map[string]string{":method": "get"}),
		"method and request":     with(map[string]string{":method": "DELETE /secret/" + mark + " HTTP/1.1\r\nX-A:"}),
		"method with space":      with(map[string]string{":method": "DELETE /secret/" + mark}),
		"two methods":            with(nil, [2]string{":method", "DELETE"}),
		"two paths":              with(nil, [2]string{":path", "/secret/" + mark}),
		"two authorities":        with(nil, [2]string{":authority", shutHost}),
		"late method":            with(map[string]string{":method": "-"}, [2]string{"x-a", "b"}, [2]string{":method", "DELETE"}),
		"late path":              with(map[string]string{":path": "-"}, [2]string{"x-a", "b"}, [2]string{":path", "/secret/" + mark}),
		"unknown pseudo-header":  with(map[string]string{":path": "/secret/" + mark}, [2]string{":original-path", "/open/"}),
		"response pseudo-header": with(map[string]string{":path": "/secret/" + mark}, [2]string{":status", "200"}),
		"upper case":             with(nil, [2]string{"X-HTTP-Method-Override", "DELETE"}),
		"override":               with(nil, [2]string{"x-http-method-override", "DELETE"}),
		"override, underscores":  with(nil, [2]string{"x_http_method_override", "DELETE"}),
		"target, original":       with(nil, [2]string{"x-original-url", "/secret/" + mark}),
		"line end in value":      with(nil, [2]string{"x-a", "b\r\nx-http-method-override: DELETE"}),
		"line feed in value":     with(nil, [2]string{"x-a", "b\nx-http-method-override: DELETE"}),
		"request in value":       with(nil, [2]string{"x-a", "b\r\n\r\n" + hidden}),
		"return in value":        with(nil, [2]string{"x-a", "b\rx-http-method-override: DELETE"}),
		"NUL in value":           with(map[string]string{":path": "/secret/" + mark}, [2]string{"x-a", "\x00"}),
		"line end in name":       with(nil, [2]string{"x-http-method-override: DELETE\r\nx-a", "b"}),
		"colon in name":          with(nil, [2]string{"x-http-method-override: DELETE ", "b"}),
		"space in name":          with(nil, [2]string{"transfer-encoding ", "chunked"}, [2]string{"x-method-override", "DELETE"}),
		"line end in path":       with(map[string]string{":path": request}),
		"space in path":          with(map[string]string{":path": "/secret/" + mark + " /../../open/"}),
		"fragment in path":       with(map[string]string{":path": "/secret/" + mark + "#/../../open/"}),
		"NUL in path":            with(map[string]string{":path": "/secret/" + mark + "\x00/../../open/"}),
		"no path":                with(map[string]string{":path": "-"}, [2]string{"x-token", mark}),
		"empty path":             with(map[string]string{":path": ""}, [2]string{"x-token", mark}),
		"relative path":          with(map[string]string{":path": "secret/" + mark}),
		"absolute path":          with(map[string]string{":path": scheme + "://" + shutHost + "/open/" + mark}),
		"asterisk":               with(map[string]string{":path": "*"}, [2]string{"x-token", mark}),
		"line end in authority":  with(map[string]string{":authority": openHost + "\r\nx-http-method-override: DELETE"}),
		"other authority":        with(map[string]string{":authority": shutHost}),
		"user in authority":      with(map[string]string{":authority": openHost + "@" + shutHost}),
		"other host":             with(nil, [2]string{"host", shutHost}),
		"only other host":        with(map[string]string{":authority": "-"}, [2]string{"host", shutHost}),
		"two hosts":              with(map[string]string{":authority": "-"}, [2]string{"host", openHost}, [2]string{"host", shutHost}),
		"other scheme and host":  with(map[string]string{":scheme": "http", ":authority": shutHost}),
		"connect":                {fields: [][2]string{{":method", "CONNECT"}, {":authority", shutHost + ":22"}, {"x-token", mark}}},
		"connect with path":      with(map[string]string{":method": "CONNECT"}),
		"extended connect":       with(map[string]string{":method": "CONNECT"}, [2]string{":protocol", "websocket"}),
		"upgrade":                with(nil, [2]string{"connection", "Upgrade"}, [2]string{"upgrade", "websocket"}),
		"dots":                   with(map[string]string{":path": "/open/../secret/" + mark}),
		"escaped dots":           with(map[string]string{":path": "/open/%2e%2e/secret/" + mark}),
		"escaped slash":          with(map[string]string{":path": "/open/..%2fsecret/" + mark}),
		"backslash":              with(map[string]string{":path": `/open/..\secret\` + mark}),
		"parameter":              with(map[string]string{":path": "/open/..;/secret/" + mark}),
		"overlong":               with(map[string]string{":path": "/open/%c0%ae%c0%ae/secret/" + mark}),
		"transfer coding":        {fields: ordinary(scheme, nil, [2]string{"transfer-encoding", "chunked"}), data: "0\r\n\r\n" + hidden},
		"length of zero":         {fields: ordinary(scheme, nil, [2]string{"content-length", "0"}), data: hidden},
		"length too short":       {fields: ordinary(scheme, nil, [2]string{"content-length", "1"}), data: "x" + hidden},
		"two lengths":            {fields: ordinary(scheme, nil, [2]string{"content-length", "0"}, [2]string{"content-length", fmt.Sprint(len(hidden))}), data: hidden},
		"length no number":       {fields: ordinary(scheme, nil, [2]string{"content-length", "+0"}), data: hidden},
		"length by underscore":   {fields: ordinary(scheme, nil, [2]string{"content_length", "0"}), data: hidden},
		"trailer override":       {fields: ordinary(scheme, nil, [2]string{"trailer", "x-http-method-override"}), data: "x", trailers: [][2]string{{"x-http-method-override", "DELETE"}}},
		"trailer method":         {fields: ordinary(scheme, nil), data: "x", trailers: [][2]string{{":method", "DELETE"}}},
	}
	var all []attempt
	for name, s := range streams {
		all = append(all, attempt{name: "HTTP/2: " + name, stream: &s, only: scheme})
	}
	return all
}

// bytes returns what a client sends for the request.
func (s *stream) bytes(replace *strings.Replacer) []byte {
	var out, block bytes.Buffer
	framer := http2.NewFramer(&out, nil)
	framer.AllowIllegalWrites = true
	encoder := hpack.NewEncoder(&block)
	encode := func(fields [][2]string) []byte {
		block.Reset()
		for _, field := range fields {
			// Writes to memory can't fail.
			_ = encoder.WriteField(hpack.HeaderField{Name: replace.Replace(field[0]), Value: replace.Replace(field[1])})
		}
		return block.Bytes()
	}
	out.WriteString(http2Preface)
	_ = framer.WriteSettings()
	_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: encode(s.fields), EndHeaders: true, EndStream: s.data == ""})
	if s.data != "" {
		_ = framer.WriteData(1, s.trailers == nil, []byte(replace.Replace(s.data)))
	}
	if s.trailers != nil {
		_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: encode(s.trailers), EndHeaders: true, EndStream: true})
	}
	return out.Bytes()
}

// http2Request is what came on one stream.
type http2Request struct {
	fields []hpack.HeaderField
	body   string
}

// downgrade returns the requests on an HTTP/2 connection as gateways write them
// in HTTP/1.1 that check nothing: each as one for which the first of two
// pseudo-headers counts, and as one for which it is the last.
func downgrade(data []byte) []string {
	framer := http2.NewFramer(nil, bytes.NewReader(data[len(http2Preface):]))
	framer.AllowIllegalReads = true
	decoder := hpack.NewDecoder(4096, nil)
	streams := map[uint32]*http2Request{}
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			break
		}
		switch f := frame.(type) {
		case *http2.HeadersFrame:
			more, err := decoder.DecodeFull(f.HeaderBlockFragment())
			if err != nil {
				return nil
			}
			if streams[f.StreamID] == nil {
				streams[f.StreamID] = &http2Request{}
			}
			streams[f.StreamID].fields = append(streams[f.StreamID].fields, more...)
		case *http2.DataFrame:
			if streams[f.StreamID] != nil {
				streams[f.StreamID].body += string(f.Data())
			}
		}
	}
	var all []string
	for _, one := range streams {
		all = append(all, inHTTP1(one.fields, one.body, true), inHTTP1(one.fields, one.body, false))
	}
	return all
}

// inHTTP1 writes a request as it is told.
func inHTTP1(fields []hpack.HeaderField, body string, first bool) string {
	pseudo, text := map[string]string{}, ""
	for _, field := range fields {
		if _, ok := pseudo[field.Name]; strings.HasPrefix(field.Name, ":") && !(ok && first) {
			pseudo[field.Name] = field.Value
		} else if !strings.HasPrefix(field.Name, ":") {
			text += field.Name + ": " + field.Value + "\r\n"
		}
	}
	if host := pseudo[":authority"]; host != "" {
		text = "Host: " + host + "\r\n" + text
	}
	if pseudo[":protocol"] != "" {
		text += "Connection: Upgrade\r\nUpgrade: " + pseudo[":protocol"] + "\r\n"
	}
	return pseudo[":method"] + " " + pseudo[":path"] + " HTTP/1.1\r\n" + text + "\r\n" + body
}
