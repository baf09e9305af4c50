package integration

import (
	"net/http"

	"boundary/integration/internal/agentapi"
)

// codingAgent is the command line of a coding agent, as the npm registry has
// it.
type codingAgent struct {
	name string
	exe  string // base name of the program that talks to the API
	// command runs one prompt, which is added to it, and prints the answer. It
	// is found where npm puts commands.
	command []string
	env     []string

	api          func(agentapi.Turn) http.Handler
	host         string // where the API is
	method, path string // what of it one turn needs
	// namespaces says that it runs commands in user namespaces of its own.
	namespaces bool
	// telemetry is where the agent reports to, or asks for news, unasked.
	telemetry string
}

// codingAgents returns all that must work unchanged. Each is told what its
// manual says for a run that nobody watches: its key, and to ask nothing.
// Beyond that none is told anything, of telemetry and updates either.
func codingAgents() []codingAgent {
	sandboxed := codex("Codex in its sandbox", "WEBSOCKET", "--sandbox", "workspace-write", "-c", "sandbox_workspace_write.network_access=true")
	sandboxed.namespaces = true
	return []codingAgent{
		{
			name: "Claude Code", exe: "claude.exe",
			command: []string{"claude", "--allowedTools", "Bash", "-p"},
			env:     []string{"ANTHROPIC_API_KEY=sk-ant-imitation"},
			api:     agentapi.Anthropic, host: agentapi.AnthropicHost, method: "POST", path: "/v1/messages",
			telemetry: "api.anthropic.com/api/event_logging/v2/batch",
		},
		codex("Codex", "WEBSOCKET", "--dangerously-bypass-approvals-and-sandbox"),
		codex("Codex over HTTP", "POST", "--dangerously-bypass-approvals-and-sandbox"),
		sandboxed,
		{
			name: "Gemini CLI", exe: "node",
			command: []string{"gemini", "--yolo", "--skip-trust", "-p"},
			env:     []string{"GEMINI_API_KEY=imitation"},
			api:     agentapi.Gemini, host: agentapi.GeminiHost, method: "POST", path: "/v1beta/models/*",
			telemetry: "play.googleapis.com/log",
		},
		{
			name: "opencode", exe: "opencode.exe",
			command: []string{"opencode", "run", "--model", "anthropic/claude-sonnet-4-5"},
			env:     []string{"ANTHROPIC_API_KEY=sk-ant-imitation"},
			api:     agentapi.Anthropic, host: agentapi.AnthropicHost, method: "POST", path: "/v1/messages",
			telemetry: "models.opencode.ai/api.json",
		},
	}
}

// codex returns Codex with a method by which it may ask its API: it begins with
// a WebSocket, and takes POST where it gets none.
func codex(name, method string, args ...string) codingAgent {
	return codingAgent{
		name: name, exe: "codex",
		command: append([]string{"codex", "exec", "--skip-git-repo-check"}, args...),
		env:     []string{"CODEX_API_KEY=sk-imitation"},
		api:     agentapi.OpenAI, host: agentapi.OpenAIHost, method: method, path: "/v1/responses",
		telemetry: "ab.chatgpt.com/otlp/v1/metrics",
	}
}
