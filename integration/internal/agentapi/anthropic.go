package agentapi

import (
	"net/http"
	"slices"
)

// AnthropicHost is where the Anthropic API is.
const AnthropicHost = "api.anthropic.com"

// anthropicRequest is the body of POST /v1/messages, as far as it matters here.
type anthropicRequest struct {
	Model    string
	Stream   bool
	Messages []struct {
		Role    string
		Content any
	}
	Tools []struct{ Name string }
}

// Anthropic returns the Messages API of Anthropic.
func Anthropic(turn Turn) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/messages", func(w http.ResponseWriter, r *http.Request) {
		request, ok := read[anthropicRequest](w, r)
		if !ok {
			return
		}
		block := request.next(turn)
		if !request.Stream {
			reply(w, request.message(list{block}, stopReason(block)))
			return
		}
		request.stream(stream(w), block)
	})
	mux.HandleFunc("POST /v1/messages/count_tokens", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, object{"input_tokens": 1})
	})
	return mux
}

// next returns the block of content that the model answers with.
func (r anthropicRequest) next(turn Turn) object {
	if said, ok := r.result(); ok {
		return object{"type": "text", "text": Answer + said}
	}
	for _, name := range []string{"Bash", "bash"} {
		if slices.ContainsFunc(r.Tools, func(tool struct{ Name string }) bool { return tool.Name == name }) {
			input := object{"command": turn.Command, "description": "Send a request"}
			return object{"type": "tool_use", "id": "toolu_" + id, "name": name, "input": input}
		}
	}
	// A request without a shell asks for something else, such as a title.
	return object{"type": "text", "text": "A request"}
}

// result returns what a tool said, if one was run.
func (r anthropicRequest) result() (string, bool) {
	for _, message := range r.Messages {
		blocks, _ := message.Content.([]any)
		for _, block := range blocks {
			if fields, _ := block.(map[string]any); fields["type"] == "tool_result" {
				return texts(fields["content"]), true
			}
		}
	}
	return "", false
}

// message is a message of the model.
func (r anthropicRequest) message(content list, stop any) object {
	return object{
		"id": "msg_" + id, "type": "message", "role": "assistant", "model": r.Model,
		"content": content, "stop_reason": stop, "stop_sequence": nil,
		"usage": object{"input_tokens": 1, "output_tokens": 1},
	}
}

// stopReason says why the model stopped after a block.
func stopReason(block object) string {
	if block["type"] == "tool_use" {
		return "tool_use"
	}
	return "end_turn"
}

// stream sends a message of one block.
func (r anthropicRequest) stream(out events, block object) {
	send := func(name string, data object) {
		data["type"] = name
		out.send(name, data)
	}
	send("message_start", object{"message": r.message(list{}, nil)})
	empty, deltas := blockDeltas(block)
	send("content_block_start", object{"index": 0, "content_block": empty})
	send("ping", object{})
	for _, delta := range deltas {
		send("content_block_delta", object{"index": 0, "delta": delta})
	}
	send("content_block_stop", object{"index": 0})
	send("message_delta", object{
		"delta": object{"stop_reason": stopReason(block), "stop_sequence": nil},
		"usage": object{"output_tokens": 1},
	})
	send("message_stop", object{})
}

// blockDeltas returns a block as it begins, and what is added to it bit by bit.
func blockDeltas(block object) (empty object, deltas list) {
	if block["type"] == "tool_use" {
		for _, piece := range pieces(encode(block["input"])) {
			deltas = append(deltas, object{"type": "input_json_delta", "partial_json": piece})
		}
		return object{"type": "tool_use", "id": block["id"], "name": block["name"], "input": object{}}, deltas
	}
	for _, piece := range pieces(block["text"].(string)) {
		deltas = append(deltas, object{"type": "text_delta", "text": piece})
	}
	return object{"type": "text", "text": ""}, deltas
}
