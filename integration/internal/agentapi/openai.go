package agentapi

import (
	"maps"
	"net/http"

	"golang.org/x/net/websocket"
)

// OpenAIHost is where the OpenAI API is.
const OpenAIHost = "api.openai.com"

// openaiRequest is the body of POST /v1/responses, or a message on the
// WebSocket of the same path, as far as it matters here.
type openaiRequest struct {
	Model string
	Input []map[string]any
	// Generate is false in a message that only makes the connection warm.
	Generate *bool
}

// OpenAI returns the Responses API of OpenAI.
func OpenAI(turn Turn) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/responses", func(w http.ResponseWriter, r *http.Request) {
		request, ok := read[openaiRequest](w, r)
		if !ok {
			return
		}
		out := stream(w)
		request.answer(turn, func(event object) { out.send(event["type"].(string), event) })
	})
	mux.Handle("GET /v1/responses", websocket.Server{Handler: func(conn *websocket.Conn) { converse(conn, turn) }})
	return mux
}

// converse answers the messages on a WebSocket until the agent closes it.
func converse(conn *websocket.Conn, turn Turn) {
	conn.MaxPayloadBytes = mostBody
	for {
		var request openaiRequest
		if err := websocket.JSON.Receive(conn, &request); err != nil {
			return
		}
		request.answer(turn, func(event object) {
			// The agent has gone when this fails, and the next Receive says so.
			_ = websocket.JSON.Send(conn, event)
		})
	}
}

// next returns the items that the model answers with.
func (r openaiRequest) next(turn Turn) list {
	if r.Generate != nil && !*r.Generate {
		return list{}
	}
	if said, ok := r.result(); ok {
		content := object{"type": "output_text", "text": Answer + said, "annotations": list{}}
		return list{object{"type": "message", "id": "msg_" + id, "role": "assistant", "status": "completed", "content": list{content}}}
	}
	// The tool runs JavaScript that calls the other tools.
	script := "const r = await tools.exec_command(" + encode(object{"cmd": turn.Command}) + "); text(r.output);"
	return list{object{
		"type": "custom_tool_call", "id": "ctc_" + id, "call_id": "call_" + id, "status": "completed",
		"name": "exec", "input": script,
	}}
}

// result returns what a tool said, if one was run.
func (r openaiRequest) result() (string, bool) {
	for _, item := range r.Input {
		if item["type"] == "custom_tool_call_output" {
			return texts(item["output"]), true
		}
	}
	return "", false
}

// answer sends the events of an answer.
func (r openaiRequest) answer(turn Turn, send func(event object)) {
	number := 0
	numbered := func(name string, data object) {
		data["type"], data["sequence_number"] = name, number
		number++
		send(data)
	}
	items := r.next(turn)
	numbered("response.created", object{"response": r.response("in_progress", list{})})
	for at, item := range items {
		sendItem(at, item.(object), numbered)
	}
	numbered("response.completed", object{"response": r.response("completed", items)})
}

// sendItem sends the events of one item: a message or a call of a tool.
func sendItem(at int, item object, send func(name string, data object)) {
	name, text := "response.custom_tool_call_input", item["input"]
	began := maps.Clone(item)
	began["status"], began["input"] = "in_progress", ""
	place := func() object { return object{"item_id": item["id"], "output_index": at} }
	if item["type"] == "message" {
		name, text = "response.output_text", texts(item["content"])
		began["content"] = list{}
		delete(began, "input")
	}
	send("response.output_item.added", object{"output_index": at, "item": began})
	for _, piece := range pieces(text.(string)) {
		delta := place()
		delta["content_index"], delta["delta"] = 0, piece
		send(name+".delta", delta)
	}
	send(name+".done", place())
	send("response.output_item.done", object{"output_index": at, "item": item})
}

// response is the object that frames an answer.
func (r openaiRequest) response(status string, output list) object {
	response := object{"id": "resp_" + id, "object": "response", "status": status, "model": r.Model, "output": output}
	if status == "completed" {
		response["usage"] = object{
			"input_tokens": 1, "input_tokens_details": object{"cached_tokens": 0},
			"output_tokens": 1, "output_tokens_details": object{"reasoning_tokens": 0}, "total_tokens": 2,
		}
	}
	return response
}
