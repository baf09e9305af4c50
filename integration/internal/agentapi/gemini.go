package agentapi

import (
	"net/http"
	"strings"
)

// GeminiHost is where the Gemini API is.
const GeminiHost = "generativelanguage.googleapis.com"

// geminiRequest is the body of a generateContent request, as far as it matters
// here.
type geminiRequest struct {
	Contents []struct {
		Role  string
		Parts []struct {
			Text             string
			FunctionResponse *struct {
				Name     string
				Response any
			}
		}
	}
	Tools []struct {
		FunctionDeclarations []struct{ Name string }
	}
}

// geminiShell is the name of the agent's shell tool.
const geminiShell = "run_shell_command"

// Gemini returns the generateContent methods of Google's Gemini API.
func Gemini(turn Turn) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1beta/models/{call}", func(w http.ResponseWriter, r *http.Request) {
		request, ok := read[geminiRequest](w, r)
		if !ok {
			return
		}
		_, method, _ := strings.Cut(r.PathValue("call"), ":")
		switch method {
		case "streamGenerateContent":
			request.stream(stream(w), turn)
		case "generateContent":
			// Asked for before the turn: how hard the task is, which chooses the model.
			score := encode(object{"complexity_reasoning": "one command", "complexity_score": 1})
			reply(w, geminiAnswer(object{"text": score}, "STOP"))
		case "countTokens":
			reply(w, object{"totalTokens": 1})
		default:
			http.NotFound(w, r)
		}
	})
	return mux
}

// stream sends what the model does next.
func (r geminiRequest) stream(out events, turn Turn) {
	said, ran := r.result()
	switch {
	case ran:
		for _, piece := range pieces(Answer + said) {
			out.send("", geminiAnswer(object{"text": piece}, ""))
		}
	case r.hasShell():
		call := object{"name": geminiShell, "args": object{"command": turn.Command, "description": "Send a request"}}
		out.send("", geminiAnswer(object{"functionCall": call}, ""))
	}
	out.send("", geminiAnswer(object{"text": ""}, "STOP"))
}

// result returns what a tool said, if one was run.
func (r geminiRequest) result() (string, bool) {
	for _, content := range r.Contents {
		for _, part := range content.Parts {
			if part.FunctionResponse != nil {
				return texts(part.FunctionResponse.Response), true
			}
		}
	}
	return "", false
}

// hasShell reports whether the agent offers its shell.
func (r geminiRequest) hasShell() bool {
	for _, tool := range r.Tools {
		for _, function := range tool.FunctionDeclarations {
			if function.Name == geminiShell {
				return true
			}
		}
	}
	return false
}

// geminiAnswer is a part of an answer; the last has a reason to end.
func geminiAnswer(part object, finish string) object {
	candidate := object{"index": 0, "content": object{"role": "model", "parts": list{part}}}
	if finish != "" {
		candidate["finishReason"] = finish
	}
	return object{
		"candidates": list{candidate}, "modelVersion": "imitation", "responseId": id,
		"usageMetadata": object{"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2},
	}
}
