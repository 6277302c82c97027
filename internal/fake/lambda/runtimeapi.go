package fakelambda

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// maxPayload is what a synchronous answer may have, in bytes: 6 MiB and a
// little, as Lambda's own error text has it ("6291556 bytes").
const maxPayload = 6291556

// runtimeAPI is the API that the process calls. Its OpenAPI description is on
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html.
func (p *process) runtimeAPI() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /2018-06-01/runtime/invocation/next", p.handleNext)
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/response",
		func(w http.ResponseWriter, r *http.Request) {
			p.handleAnswer(w, r, false)
		})
	mux.HandleFunc("POST /2018-06-01/runtime/invocation/{id}/error",
		func(w http.ResponseWriter, r *http.Request) {
			p.handleAnswer(w, r, true)
		})
	mux.HandleFunc("POST /2018-06-01/runtime/init/error", p.handleInitError)
	return mux
}

// handleNext ends the current invocation and waits for the next one.
func (p *process) handleNext(w http.ResponseWriter, r *http.Request) {
	if !p.finishCurrent() {
		refuse(w, http.StatusForbidden, "InvalidStateTransition", "the event under way has no answer yet")
		return
	}
	select {
	case inv := <-p.work:
		p.mu.Lock()
		p.current = inv
		p.mu.Unlock()
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Lambda-Runtime-Aws-Request-Id", inv.id)
		h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(inv.deadline.UnixMilli(), 10))
		h.Set("Lambda-Runtime-Invoked-Function-Arn", p.arn)
		h.Set("Lambda-Runtime-Trace-Id", newTraceID())
		_, _ = w.Write(inv.payload) // a process that hung up is noticed by its exit
	case <-r.Context().Done():
	case <-p.exited:
	}
}

// finishCurrent tells the waiting run that the process is done, and says
// whether it may have another event.
func (p *process) finishCurrent() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.isReady {
		p.isReady = true
		close(p.ready)
	}
	if p.current == nil {
		return true
	}
	if p.current.answer == nil {
		return false
	}
	close(p.current.done)
	p.current = nil
	return true
}

// handleAnswer receives the function's answer or error.
func (p *process) handleAnswer(w http.ResponseWriter, r *http.Request, failed bool) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPayload))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
	case err != nil:
		return // the process hung up; its exit gives the reason
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current == nil || p.current.id != r.PathValue("id") {
		refuse(w, http.StatusBadRequest, "InvalidRequestID", "Invalid request ID")
		return
	}
	if p.current.answer != nil {
		refuse(w, http.StatusForbidden, "InvalidStateTransition", "the event has its answer already")
		return
	}
	if tooLarge != nil {
		text := fmt.Sprintf("payload size exceeded maximum allowed payload size (%d bytes).", maxPayload)
		p.current.answer = failure(ErrorTypeResponseSize, "Response "+text)
		refuse(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", "Response "+text)
		return
	}
	p.current.answer = parseAnswer(body, failed, r)
	accept(w)
}

// parseAnswer reads errors too, including that of an incomplete response, which is in a
// trailer (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html,
// "Implementing response streaming in a custom runtime").
func parseAnswer(body []byte, failed bool, r *http.Request) *answer {
	if !failed {
		errorType := r.Trailer.Get("Lambda-Runtime-Function-Error-Type")
		if errorType == "" {
			return &answer{payload: body}
		}
		detail, err := base64.StdEncoding.DecodeString(r.Trailer.Get("Lambda-Runtime-Function-Error-Body"))
		if err != nil {
			return failure(errorType, "")
		}
		body = detail
	}
	var e struct {
		ErrorType    string `json:"errorType"`
		ErrorMessage string `json:"errorMessage"`
	}
	if err := json.Unmarshal(body, &e); err != nil {
		// Lambda passes any body on and takes the type from the header.
		e.ErrorType = r.Header.Get("Lambda-Runtime-Function-Error-Type")
	}
	return &answer{payload: body, failed: true, errorType: e.ErrorType, errorMessage: e.ErrorMessage}
}

func (p *process) handleInitError(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPayload))
	if err != nil {
		refuse(w, http.StatusBadRequest, "InvalidRequest", "the body can not be read")
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.isReady {
		refuse(w, http.StatusForbidden, "InvalidStateTransition", "the runtime has asked for an event already")
		return
	}
	p.initError = parseAnswer(body, true, r)
	accept(w)
}

func accept(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"status":"OK"}`)
}

func refuse(w http.ResponseWriter, status int, errorType, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(failure(errorType, message).payload)
}

// newID returns a request id, a version 4 UUID.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// newTraceID returns an X-Ray trace header that asks for no sample.
func newTraceID() string {
	var b [20]byte
	_, _ = rand.Read(b[:]) // never fails
	return fmt.Sprintf("Root=1-%08x-%x;Parent=%x;Sampled=0", time.Now().Unix(), b[:12], b[12:])
}
