package agentapi

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// mostBody is the largest request that is read. Agents send instructions of
// some 100 KiB.
const mostBody = 8 << 20

// Turn is what the imitated model does.
type Turn struct {
	// Command is the line that it has the agent's shell tool run.
	Command string
}

// id names calls and messages where an API wants a name.
const id = "1"

// Answer is how the model's answer begins. What the command wrote follows.
const Answer = "The command said: "

// read decodes a request's body, and answers one that can't be.
func read[T any](w http.ResponseWriter, r *http.Request) (T, bool) {
	var request T
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostBody))
	if err == nil {
		err = json.Unmarshal(body, &request)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return request, false
	}
	return request, true
}

// reply answers with JSON.
func reply(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	// The agent has gone when this fails; there is nobody to tell.
	_ = json.NewEncoder(w).Encode(value)
}

// events is an answer of server-sent events.
type events struct{ w http.ResponseWriter }

// stream begins one.
func stream(w http.ResponseWriter) events {
	w.Header().Set("Content-Type", "text/event-stream")
	return events{w}
}

// send sends an event at once. Its name goes along where it has one.
func (e events) send(name string, data object) {
	if name != "" {
		fmt.Fprintf(e.w, "event: %s\n", name)
	}
	fmt.Fprintf(e.w, "data: %s\n\n", encode(data))
	// As above.
	_ = http.NewResponseController(e.w).Flush()
}

// encode returns a value as JSON.
func encode(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // of our own making: all values are strings, numbers, lists and objects
	}
	return string(text)
}

// object is a JSON object.
type object = map[string]any

// list is a JSON array.
type list = []any

// texts returns all strings in a JSON value under the names "text", "output" and
// "content", however deep: APIs wrap the result of a tool in several ways.
func texts(value any) string {
	var b strings.Builder
	collect(&b, value)
	return b.String()
}

// collect appends what texts returns.
func collect(b *strings.Builder, value any) {
	switch value := value.(type) {
	case string:
		b.WriteString(value)
	case []any:
		for _, one := range value {
			collect(b, one)
		}
	case map[string]any:
		for _, name := range []string{"text", "output", "content"} {
			collect(b, value[name])
		}
	}
}

// pieces cuts a text as a model's answer comes: in several events.
func pieces(text string) []string {
	const size = 24
	var all []string
	letters := []rune(text)
	for len(letters) > size {
		all = append(all, string(letters[:size]))
		letters = letters[size:]
	}
	return append(all, string(letters))
}
