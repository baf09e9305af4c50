package integration

import "slices"

// hostAttempts are for another host than they pretend.
func hostAttempts() []attempt {
	const (
		get   = "GET /open/" + mark + " HTTP/1.1\r\n"
		open  = "Host: " + openHost + "\r\n"
		shut  = "Host: " + shutHost + "\r\n"
		allOf = "GET /open/" + mark + " HTTP/1.1\r\nHost: " + openHost + "\r\n\r\n"
	)
	all := named("host: ", map[string]string{
		"two":                 get + open + shut + "\r\n",
		"two, other way":      get + shut + open + "\r\n",
		"two, one folded":     get + open + "X-A: b\r\n " + shut + "\r\n",
		"space before colon":  get + open + "Host : " + shutHost + "\r\n\r\n",
		"none":                get + "\r\n" + hidden,
		"empty":               get + "Host:\r\n\r\n" + hidden,
		"with at":             get + "Host: " + openHost + "@" + shutHost + "\r\n\r\n",
		"with space":          get + "Host: " + openHost + " " + shutHost + "\r\n\r\n",
		"with slash":          get + "Host: " + shutHost + "/" + openHost + "\r\n\r\n",
		"with NUL":            get + "Host: " + shutHost + "\x00." + openHost + "\r\n\r\n",
		"absolute, other":     "GET http://" + shutHost + "/open/" + mark + " HTTP/1.1\r\n" + open + "\r\n",
		"absolute, and other": "GET http://" + openHost + "/open/" + mark + " HTTP/1.1\r\n" + shut + "\r\n",
		"absolute, backslash": "GET http://" + openHost + "\\@" + shutHost + "/open/" + mark + " HTTP/1.1\r\n" + open + "\r\n",
		"absolute, malformed": "GET http://[" + shutHost + "/open/" + mark + " HTTP/1.1\r\n" + open + "\r\n",
		"no host, absolute":   "GET http://" + shutHost + "/open/" + mark + " HTTP/1.1\r\n\r\n",
	})
	all = append(all, unambiguous("host: ", map[string]string{
		"other":              get + shut + "\r\n",
		"other, upper case":  get + "Host: SHUT.TEST.\r\n\r\n",
		"other, with port":   get + "Host: " + shutHost + ":PORT\r\n\r\n",
		"list":               get + "Host: " + openHost + "," + shutHost + "\r\n\r\n",
		"absolute":           "GET http://" + shutHost + "/open/" + mark + " HTTP/1.1\r\n" + shut + "\r\n",
		"absolute, its user": "GET http://" + openHost + "@" + shutHost + "/open/" + mark + " HTTP/1.1\r\n" + shut + "\r\n",
		"absolute, HTTPS":    "GET https://" + shutHost + "/open/" + mark + " HTTP/1.1\r\n" + shut + "\r\n",
		"pipelined":          allOf + get + shut + "\r\n",
		"HTTP/1.0":           "GET /open/" + mark + " HTTP/1.0\r\n" + shut + "\r\n",
	})...)
	return append(all,
		attempt{name: "host: dialled", sends: []string{get + shut + "\r\n"}, dial: shutHost},
		attempt{name: "host: of the connection", sends: []string{"GET /open/" + mark + " HTTP/1.0\r\nHost: " + shutHost + "\r\n\r\n"}, dial: shutHost},
		attempt{name: "host: server name", sends: []string{allOf}, server: shutHost, only: "https"},
		attempt{name: "host: server name and host", sends: []string{get + shut + "\r\n"}, server: shutHost, dial: openHost, only: "https"},
		attempt{name: "host: address dialled, other server name", sends: []string{allOf}, server: shutHost, dial: openHost, only: "https"},
		attempt{name: "host: not the server name", sends: []string{get + shut + "\r\n"}, server: openHost, only: "https"},
	)
}

// methodAttempts use a method that the policy does not allow.
func methodAttempts() []attempt {
	request := func(method, fields string) string {
		return method + " /open/" + mark + " HTTP/1.1\r\nHost: " + openHost + "\r\n" + fields + "\r\n"
	}
	texts := map[string]string{
		"override":              request("GET", "X-HTTP-Method-Override: DELETE\r\n"),
		"override, short":       request("GET", "X-HTTP-Method: DELETE\r\n"),
		"override, other":       request("HEAD", "X-Method-Override: DELETE\r\n"),
		"override, underscores": request("GET", "X_HTTP_Method_Override: DELETE\r\n"),
		"override, dots":        request("GET", "X.HTTP.Method.Override: DELETE\r\n"),
		"override, lower case":  request("GET", "x-http-method-override: delete\r\n"),
		"override, second":      request("GET", "X-HTTP-Method-Override: GET\r\nX-HTTP-Method-Override: DELETE\r\n"),
		"target, original":      request("GET", "X-Original-URL: /secret/"+mark+"\r\n"),
		"target, rewritten":     request("GET", "X_Rewrite_URL: /secret/"+mark+"\r\n"),
		"options of server":     "OPTIONS * HTTP/1.1\r\nHost: " + openHost + "\r\nX-Token: " + mark + "\r\n\r\n",
		"connect":               "CONNECT " + shutHost + ":443 HTTP/1.1\r\nHost: " + shutHost + ":443\r\nX-Token: " + mark + "\r\n\r\n",
		"connect to itself":     "CONNECT " + openHost + ":80 HTTP/1.1\r\nHost: " + openHost + "\r\nX-Token: " + mark + "\r\n\r\n" + hidden,
		"connect to a path":     "CONNECT /open/" + mark + " HTTP/1.1\r\nHost: " + openHost + "\r\n\r\n" + hidden,
		"connect after a get":   openHead + "\r\nCONNECT " + shutHost + ":22 HTTP/1.1\r\nHost: " + shutHost + ":22\r\nX-Token: " + mark + "\r\n\r\nSSH-2.0-x\r\n",
		"body":                  request("POST", "Content-Length: 3\r\n") + "abc",
		"body in chunks":        request("POST", "Transfer-Encoding: chunked\r\n") + "3\r\nabc\r\n0\r\n\r\n",
		"expected body":         request("PUT", "Expect: 100-continue\r\nContent-Length: 3\r\n") + "abc",
		"fewer hops":            request("TRACE", "Max-Forwards: 0\r\n"),
	}
	for _, method := range []string{"DELETE", "get", "Get", "gET", "head", "OPTIONS", "TRACE", "PROPFIND", "GETX", "GET,DELETE", "G-E-T", "X"} {
		texts[method] = request(method, "")
	}
	return unambiguous("method: ", texts)
}

// pathAttempts are for a path that some server finds outside of what is allowed.
func pathAttempts() []attempt {
	paths := []string{
		"/secret/" + mark, "/" + mark, "/open" + "?" + mark, "/openly/" + mark, "/OPEN/" + mark, "//open/" + mark, "/./secret/" + mark,
		"/open/../secret/" + mark, "/open/./../secret/" + mark, "/open/x/../../secret/" + mark, "/open/..?" + mark, "/open//../../secret/" + mark,
		"/open/%2e%2e/secret/" + mark, "/open/%2E./secret/" + mark, "/open/.%2e/secret/" + mark, "/open/..%2fsecret/" + mark, "/open/%2e%2e%2fsecret%2f" + mark,
		"/open/%252e%252e/secret/" + mark, "/open/%252e%252e%252fsecret/" + mark, "/open/..%252fsecret/" + mark, "/open/%25252e%25252e/secret/" + mark,
		`/open/..\secret\` + mark, `/open\..\secret\` + mark, "/open/..%5csecret%5c" + mark, "/open/%2e%2e%5csecret/" + mark, "/open/..%255csecret/" + mark,
		"/open/..;/secret/" + mark, "/open/..;x=y/secret/" + mark, "/open;/../secret/" + mark, "/open/%2e%2e;/secret/" + mark, "/open/..%3b/secret/" + mark,
		"/open/%c0%ae%c0%ae/secret/" + mark, "/open/..%c0%afsecret/" + mark, "/open/\xc0\xae\xc0\xae/secret/" + mark, "/open/..%e0%80%afsecret/" + mark,
		"/open/..%f0%80%80%afsecret/" + mark, "/open/..%c1%9csecret/" + mark, "/open/%ef%bc%8e%ef%bc%8e/secret/" + mark, "/open/..%ef%bc%8fsecret/" + mark,
		"/open/..%e2%88%95secret/" + mark, "/open/%u002e%u002e/secret/" + mark, "/open/%u002e%u002e%u002fsecret/" + mark,
		"/secret/" + mark + "%00/../../open/x", "/open/.%00./secret/" + mark, "/open/..%00/secret/" + mark + "/../../secret", "/open/..%0d%0a/secret/" + mark + "/../..",
		"/open/.%0a./secret/" + mark, "/open/%09/../../secret/" + mark, "/secret/" + mark + "#/../../open/x", "/secret/" + mark + "%23/../../open/x",
		"/secret/" + mark + "%3f/../../open/x", "/secret/" + mark + "%253f/../../open/x", "/open%2f..%2fsecret/" + mark, "/%6fpen/../secret/" + mark,
		"/open/%2e%2e/%2e%2e/%2e%2e/secret/" + mark, "/open/%zz/../../secret/" + mark, "/open/%/../../secret/" + mark, "/open/%2/../../secret/" + mark,
		"/open/x/..%2f..%2fsecret/" + mark, "//open/../secret/" + mark, "///secret/" + mark, `//open\..\secret/` + mark, `//open/x\..\..\secret%2f` + mark,
	}
	texts := map[string]string{}
	for _, path := range paths {
		texts[path] = "GET " + path + " HTTP/1.1\r\nHost: " + openHost + "\r\n\r\n"
	}
	texts["absolute form"] = "GET http://" + openHost + "/open/%2e%2e/secret/" + mark + " HTTP/1.1\r\nHost: " + openHost + "\r\n\r\n"
	texts["absolute form without path"] = "GET http://" + openHost + "?" + mark + "/../open/ HTTP/1.1\r\nHost: " + openHost + "\r\n\r\n"
	texts["asterisk"] = "GET * HTTP/1.1\r\nHost: " + openHost + "\r\nX-Token: " + mark + "\r\n\r\n"
	return unambiguous("path: ", texts)
}

// otherAttempts go on after something allowed, or are not HTTP at all.
func otherAttempts() []attempt {
	const settings = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n"
	upgrade := func(to string) string { return openHead + "Connection: Upgrade\r\nUpgrade: " + to + "\r\n\r\n" }
	all := unambiguous("pipeline: ", map[string]string{
		"second":          openHead + "\r\n" + hidden,
		"second of three": openHead + "\r\n" + hidden + openHead + "\r\n",
		"after a HEAD":    "HEAD" + openHead[len("GET"):] + "\r\n" + hidden,
		"after a line":    openHead + "\r\n\r\n" + hidden,
		"after chunks":    openHead + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
		"after length":    openHead + "Content-Length: 0\r\n\r\n" + hidden,
		"after close":     openHead + "Connection: close\r\n\r\n" + hidden,
		"after denied":    hidden + hidden,
	})
	all = append(all, unambiguous("switch: ", map[string]string{
		"h2c":                   openHead + settings + http2Preface + hidden,
		"WebSocket":             upgrade("websocket"),
		"WebSocket, upper case": upgrade("WebSocket"),
		"WebSocket and others":  upgrade("websocket, h2c"),
		"others and WebSocket":  upgrade("foo") + upgrade("websocket") + hidden,
		"WebSocket in HTTP/1.0": "GET /open/" + mark + " HTTP/1.0\r\nHost: " + openHost + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + hidden,
		"TLS":                   upgrade("TLS/1.2") + "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00" + mark,
		"anything":              upgrade("anything"),
	})...)
	for _, to := range []string{"", "?to=h2c", "?to=websocket"} {
		request := "GET /open/switch/" + mark + to + " HTTP/1.1\r\nHost: " + openHost + "\r\n"
		all = append(all, attempt{name: "switch: unasked " + to, sends: []string{request + "\r\n", hidden}})
		if to != "" {
			asked := request + "Connection: Upgrade\r\nUpgrade: " + to[len("?to="):] + "\r\n\r\n"
			all = append(all, attempt{name: "switch: asked " + to, sends: []string{asked, hidden}})
		}
	}
	other := map[string]string{
		"SSH":              "SSH-2.0-" + mark + "\r\n",
		"SMTP":             "EHLO " + mark + "\r\n",
		"Redis":            "*1\r\n$7\r\n" + mark + "\r\n",
		"PostgreSQL":       "\x00\x00\x00\x10\x00\x03\x00\x00" + mark + "\x00",
		"TLS alert":        "\x15\x03\x01\x00\x02\x02\x28" + mark,
		"zeros":            "\x00\x00\x00\x00" + mark,
		"a line":           mark + "\r\n",
		"a line and a GET": mark + "\r\n" + openHead + "\r\n",
		"line feeds":       "\n\n\n" + hidden,
		"empty lines":      "\r\n\r\n\r\n" + hidden,
	}
	return slices.Concat(all, unambiguous("bytes: ", other), unambiguous("bytes: ", map[string]string{
		"after a GET": openHead + "\r\n\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00" + mark,
	}))
}
