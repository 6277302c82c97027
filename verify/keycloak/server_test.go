//go:build verify

package keycloak

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// server is a running Keycloak in development mode, with its embedded database, on a
// loopback port. Its database is in its own folder.
type server struct {
	home, url string
	port      int
	command   *exec.Cmd
	mu        sync.Mutex
	token     string // of its administrator
	tokenEnds time.Time
}

const administrator = "admin"

// start unpacks nothing: verify/run.sh has done so under EVERTOKEN_KEYCLOAK,
// one folder to a version.
func start(t *testing.T, version string) *server {
	t.Helper()
	root := os.Getenv("EVERTOKEN_KEYCLOAK")
	if root == "" {
		t.Fatal("EVERTOKEN_KEYCLOAK is not set: run verify/run.sh, which sets it")
	}
	s := &server{home: filepath.Join(root, "keycloak-"+version), port: freePort(t)}
	s.url = fmt.Sprintf("http://127.0.0.1:%d/auth", s.port)
	if err := os.RemoveAll(filepath.Join(s.home, "data", "h2")); err != nil { // of an earlier run
		t.Fatal(err)
	}
	s.boot(t)
	t.Cleanup(s.stop)
	return s
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	address, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatal("the listener has no TCP address")
	}
	return address.Port
}

// boot starts the server and waits until it listens, at most until the tests' deadline.
func (s *server) boot(t *testing.T) {
	t.Helper()
	s.command = exec.Command(filepath.Join(s.home, "bin", "kc.sh"), "start-dev",
		"--http-relative-path=/auth", "--http-host=127.0.0.1", fmt.Sprintf("--http-port=%d", s.port))
	s.command.Env = append(os.Environ(), "KC_BOOTSTRAP_ADMIN_USERNAME="+administrator,
		"KC_BOOTSTRAP_ADMIN_PASSWORD="+administrator, "JAVA_OPTS_KC_HEAP=-Xms128m -Xmx768m")
	s.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // kc.sh starts java
	out, err := s.command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.command.Stderr = s.command.Stdout
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	for lines := bufio.NewScanner(out); lines.Scan(); {
		said.Write(append(lines.Bytes(), '\n'))
		if strings.Contains(lines.Text(), "Listening on:") {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return
		}
	}
	t.Fatalf("Keycloak ended before it listened:\n%s", said.String())
}

// stop ends the server by its process group, whose id is the server's own pid.
func (s *server) stop() {
	if s.command == nil {
		return
	}
	_ = syscall.Kill(-s.command.Process.Pid, syscall.SIGTERM)
	_ = s.command.Wait()
	s.command = nil
}

// restart stops the server and starts it again with the same database.
func (s *server) restart(t *testing.T) {
	t.Helper()
	s.stop()
	s.boot(t)
}

// adminToken logs the administrator in; its token lives for a minute.
func (s *server) adminToken(t *testing.T) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Now().Before(s.tokenEnds) {
		return s.token
	}
	form := url.Values{"client_id": {"admin-cli"}, "grant_type": {"password"},
		"username": {administrator}, "password": {administrator}}
	r, err := http.PostForm(s.url+"/realms/master/protocol/openid-connect/token", form)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(r.Body).Decode(&answer); err != nil || answer.AccessToken == "" {
		t.Fatalf("the administrator's login: HTTP %d, %v", r.StatusCode, err)
	}
	s.token, s.tokenEnds = answer.AccessToken, time.Now().Add(30*time.Second)
	return s.token
}

// admin calls the admin API below /admin/realms and decodes its answer into
// out, unless that is nil. It returns the last part of the Location header, the
// id of what was made.
func (s *server) admin(t *testing.T, method, path string, in, out any) (id string) {
	t.Helper()
	var body io.Reader = http.NoBody
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		body = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(context.Background(), method, s.url+"/admin/realms"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.adminToken(t))
	r.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode >= 300 {
		t.Fatalf("%s %s: HTTP %d: %s", method, path, response.StatusCode, text)
	}
	if out != nil {
		if err := json.Unmarshal(text, out); err != nil {
			t.Fatalf("%s %s: %v in %s", method, path, err, text)
		}
	}
	return filepath.Base(response.Header.Get("Location"))
}
