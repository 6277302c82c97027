package operator

import (
	"bytes"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/creack/pty"
)

// watched lets a test wait until a terminal shows a text.
type watched struct {
	mu   sync.Mutex
	more *sync.Cond
	text []byte
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, p...)
	w.more.Broadcast()
	return len(p), nil
}

func (w *watched) wait(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !bytes.Contains(w.text, []byte(text)) {
		w.more.Wait()
	}
}

func (w *watched) shows() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.text)
}

// What is typed as soon as the question appears is not shown, and a line that a terminal
// would cut off is refused.
func TestATypedSecretIsNeitherShownNorCutOff(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, typed, want, problem string
	}{
		{"a password", "päss wörd!", "päss wörd!", ""},
		{"corrected", "passx\x7fword", "password", ""},
		{"the longest", strings.Repeat("x", longestLine-1), strings.Repeat("x", longestLine-1), ""},
		{"too long", strings.Repeat("x", longestLine+1), "", "longer than a line"},
		{"Ctrl-C", "pass\x03", "", "interrupted: nothing was changed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			terminal, tty, err := pty.Open()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _, _ = terminal.Close(), tty.Close() }()
			screen := &watched{}
			screen.more = sync.NewCond(&screen.mu)
			go func() { _, _ = io.Copy(screen, terminal) }()
			a := &app{Process: Process{Stdin: tty, Stdout: tty, Stderr: tty}}
			go func() {
				screen.wait("password: ")
				_, _ = io.WriteString(terminal, tt.typed+"\r")
			}()
			p, err := a.prompter()
			if err != nil {
				t.Fatal(err)
			}
			value, err := p.secret("password: ")
			if value.Reveal() != tt.want || (err == nil) != (tt.problem == "") || err != nil &&
				!strings.Contains(err.Error(), tt.problem) {
				t.Errorf("read %d characters, %v", len(value.Reveal()), err)
			}
			_, _ = io.WriteString(tty, "end")
			screen.wait("end")
			if shown := strings.ReplaceAll(screen.shows(), "password: ", ""); strings.Contains(shown, tt.typed[:3]) {
				t.Errorf("the terminal shows %q", shown)
			}
		})
	}
}
