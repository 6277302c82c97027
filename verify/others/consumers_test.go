//go:build verify

package others

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
	fakelambda "evertoken/internal/fake/lambda"
)

// world is an account in which issue has published the token of apiax.
type world struct {
	*account
	aws   *fakeaws.Server
	issue *fakelambda.Function
}

func newWorld(t *testing.T) *world {
	t.Helper()
	a, server := fake(t)
	idp := provider(t)
	a.declare(t, "apiax", "apiax", map[string]any{"token_url": idp.Apiax().TokenURL()},
		map[string]any{"username": "robot", "password": idp.Apiax().SetPassword("robot", "")})
	w := &world{a, server, a.issue(t)}
	check(t, "the first run", []string{"apiax issued"}, a.outcomes(run(t, w.issue, nil)))
	return w
}

// reads counts how often the token was read.
func (w *world) reads() int {
	n := 0
	for _, c := range w.aws.Calls() {
		if c.Operation == "GetSecretValue" && c.Resource == w.secret("apiax", "token") {
			n++
		}
	}
	return n
}

// reader is a consumer's process, whose clock the test sets.
type reader struct {
	in  io.Writer
	out *bufio.Reader
}

// clientEnv is the environment with which any of AWS's clients reaches an endpoint.
func clientEnv(endpoint string) []string {
	return append(os.Environ(), "AWS_ENDPOINT_URL="+endpoint, "AWS_REGION=us-east-1",
		"AWS_DEFAULT_REGION=us-east-1",
		"AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY=secret", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull)
}

func startReader(t *testing.T, w *world, c *exec.Cmd) *reader {
	t.Helper()
	c.Env = append(clientEnv(w.url), "SECRET_ID="+w.secret("apiax", "token"),
		"PATH="+setting(t, "EVERTOKEN_PYTHON_BIN")+string(os.PathListSeparator)+os.Getenv("PATH"))
	c.Stderr = t.Output()
	in, out := startPiped(t, c)
	return &reader{in, out}
}

// at asks the reader for the token at a time.
func (r *reader) at(t *testing.T, when time.Time, how string) string {
	t.Helper()
	if _, err := fmt.Fprintf(r.in, "%d %s\n", when.Unix(), how); err != nil {
		t.Fatal(err)
	}
	line, err := r.out.ReadString('\n')
	if err != nil {
		t.Fatalf("the reader ended: %v", err)
	}
	return line[:len(line)-1]
}

// TestEveryDocumentedReaderFollowsTheToken runs the readers of the page over the life of a token.
func TestEveryDocumentedReaderFollowsTheToken(t *testing.T) {
	t.Parallel()
	for name, command := range map[string]func(*testing.T, string) *exec.Cmd{
		"AWS CLI":                 bashReader,
		"Python (boto3)":          pythonReader,
		"JavaScript (AWS SDK v3)": nodeReader,
		"Go (AWS SDK v2)":         goReader,
		"Java (AWS SDK 2.x)":      javaReader,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			r := startReader(t, w, command(t, name))
			life(t, w, r)
			unauthorized(t, w, r)
		})
	}
}

// life runs a reader through the lives of two tokens.
func life(t *testing.T, w *world, r *reader) {
	first := w.read(t, "apiax", "token", "AWSCURRENT")
	w.aws.ResetCalls()
	expect := func(what, token string, reads int, got string) {
		t.Helper()
		check(t, what+", the token", token, got)
		check(t, what+", reads so far", reads, w.reads())
	}
	due := moment(t, first["renew_after"])
	expect("at the start", first["access_token"], 1, r.at(t, moment(t, first["issued_at"]), ""))
	expect("before it is due", first["access_token"], 1, r.at(t, due.Add(-time.Second), ""))
	expect("when it is due", first["access_token"], 2, r.at(t, due, ""))
	expect("within a minute", first["access_token"], 2, r.at(t, due.Add(59*time.Second), ""))

	check(t, "renewing", []string{"apiax issued"}, w.outcomes(w.force(t, w.issue, "apiax")))
	second := w.read(t, "apiax", "token", "AWSCURRENT")
	w.aws.ResetCalls()
	expect("a minute later", second["access_token"], 1, r.at(t, due.Add(time.Minute), ""))

	// From here on AWS refuses.
	w.aws.Inject(&fakeaws.Fault{Operation: "GetSecretValue", Kind: fakeaws.Refuse,
		Code: "AccessDeniedException"})
	end := moment(t, second["expires_at"])
	expect("a read that fails", second["access_token"], 2, r.at(t, end.Add(-time.Minute), ""))
	expect("once the token is dead", "error", 3, r.at(t, end, ""))
	w.aws.ClearFaults()
	expect("a fresh one on demand", second["access_token"], 4, r.at(t, moment(t, second["issued_at"]), "fresh"))
}

func moment(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// unauthorized makes an API refuse the published token until another is published: the
// application reads the secret exactly once more.
func unauthorized(t *testing.T, w *world, r *reader) {
	t.Helper()
	refused := w.read(t, "apiax", "token", "AWSCURRENT")
	api := httptest.NewServer(http.HandlerFunc(func(a http.ResponseWriter, q *http.Request) {
		given := q.Header.Get("Authorization")
		if given == "" || given == refused["authorization"] {
			a.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(a, strings.TrimPrefix(given, "Bearer "))
	}))
	t.Cleanup(api.Close)
	now := moment(t, refused["issued_at"])
	w.aws.ResetCalls()
	check(t, "a revoked token", "error", r.at(t, now, "get "+api.URL))
	check(t, "reads because of it", 1, w.reads())

	w.postdate(t, refused) // the next token must not be of the same second
	check(t, "reading what is published", "error", r.at(t, now, "get "+api.URL))
	check(t, "renewing", []string{"apiax issued"}, w.outcomes(w.force(t, w.issue, "apiax")))
	next := w.read(t, "apiax", "token", "AWSCURRENT")
	check(t, "once it is renewed", next["access_token"], r.at(t, now, "get "+api.URL))
}

// place writes the snippet and its driver into a folder.
func place(t *testing.T, heading, language, name, driver string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, name), snippet(t, heading, language))
	text, err := os.ReadFile(filepath.Join("testdata/consumers", driver))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, driver), string(text))
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func bashReader(t *testing.T, heading string) *exec.Cmd {
	dir := place(t, heading, "bash", "snippet.sh", "driver.sh")
	c := exec.CommandContext(t.Context(), "bash", "-c", "set -u; . ./snippet.sh; . ./driver.sh")
	c.Dir = dir
	return c
}

func pythonReader(t *testing.T, heading string) *exec.Cmd {
	c := exec.CommandContext(t.Context(),
		filepath.Join(setting(t, "EVERTOKEN_PYTHON_BIN"), "python"), "driver.py")
	c.Dir = place(t, heading, "python", "snippet.py", "driver.py")
	return c
}

func nodeReader(t *testing.T, heading string) *exec.Cmd {
	dir := place(t, heading, "javascript", "snippet.mjs", "driver.mjs")
	modules, err := filepath.Abs("../node/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), setting(t, "EVERTOKEN_NODE"), "driver.mjs")
	c.Dir = dir
	return c
}

func javaReader(t *testing.T, heading string) *exec.Cmd {
	dir := place(t, heading, "java", "Token.java", "Driver.java")
	libraries := filepath.Join(setting(t, "EVERTOKEN_JAVA_LIBRARIES"), "*")
	build := exec.CommandContext(t.Context(), "javac", "-cp", libraries, "Token.java", "Driver.java")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("compiling the reader: %v\n%s", err, out)
	}
	return exec.CommandContext(t.Context(), "java", "-cp", libraries+string(os.PathListSeparator)+dir, "Driver")
}

// goReader builds the driver with the snippet laid over the package it imports.
func goReader(t *testing.T, heading string) *exec.Cmd {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "token.go"), snippet(t, heading, "go"))
	target, err := filepath.Abs("testdata/consumers/godriver/token/token.go")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "overlay.json"),
		encode(t, map[string]any{"Replace": map[string]string{target: filepath.Join(dir, "token.go")}}))
	binary := filepath.Join(dir, "godriver")
	build := exec.CommandContext(t.Context(), "go", "build", "-overlay",
		filepath.Join(dir, "overlay.json"), "-o", binary, "./testdata/consumers/godriver")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the reader: %v\n%s", err, out)
	}
	return exec.CommandContext(t.Context(), binary)
}

// TestADocumentedReaderGetsANewTokenAfterA401 follows the page's advice after a 401: a
// reader reads the secret again until it has another token, and invokes nothing.
func TestADocumentedReaderGetsANewTokenAfterA401(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	refused := w.read(t, "apiax", "token", "AWSCURRENT")
	// The next token must be issued in another second.
	refused["issued_at"] = w.postdate(t, refused)
	dir := place(t, "Python (boto3)", "python", "snippet.py", "refused.py")
	write(t, filepath.Join(dir, "after.py"), snippet(t, "After a 401", "python"))
	ask := func() string {
		c := exec.CommandContext(t.Context(),
			filepath.Join(setting(t, "EVERTOKEN_PYTHON_BIN"), "python"), "refused.py", encode(t, refused))
		c.Dir = dir
		c.Env = append(clientEnv(w.aws.URL()), "SECRET_ID="+w.secret("apiax", "token"))
		c.Stderr = t.Output()
		out, err := c.Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	check(t, "a reader before the renewal", "None\n", ask())
	check(t, "an operator's renewal", []string{"apiax issued"}, w.outcomes(w.force(t, w.issue, "apiax")))
	check(t, "a reader after it", w.read(t, "apiax", "token", "AWSCURRENT")["issued_at"]+"\n", ask())
}

// postdate publishes the token again as issued a minute earlier, and returns
// that time.
func (w *world) postdate(t *testing.T, token map[string]string) string {
	t.Helper()
	earlier := moment(t, token["issued_at"]).Add(-time.Minute).Format(time.RFC3339)
	token["issued_at"] = earlier
	w.put(t, w.secret("apiax", "token"), encode(t, token))
	return earlier
}

// pageConnection is an account in which issue has published the token of the page's
// connection.
func pageConnection(t *testing.T, idp *fakeidp.Server) *account {
	t.Helper()
	a, _ := fake(t)
	a.name = "-prod"
	a.declare(t, "apiax", "apiax", map[string]any{"token_url": idp.Apiax().TokenURL()},
		map[string]any{"username": "robot", "password": idp.Apiax().SetPassword("robot", "")})
	check(t, "the first run", []string{"apiax issued"}, a.outcomes(run(t, a.issue(t), nil)))
	return a
}

// TestTheDocumentedECSKeyIsTheTokens reads the key that the page's task definition names,
// as ECS does:
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/secrets-envvar-secrets-manager.html
func TestTheDocumentedECSKeyIsTheTokens(t *testing.T) {
	t.Parallel()
	idp := provider(t)
	a := pageConnection(t, idp)
	var definition struct {
		Secrets []struct{ Name, ValueFrom string }
	}
	if err := json.Unmarshal([]byte(snippet(t, "ECS", "json")), &definition); err != nil {
		t.Fatal(err)
	}
	value := a.valueFrom(t, definition.Secrets[0].ValueFrom)
	check(t, "the provider accepts "+definition.Secrets[0].Name, true, idp.Accepts(fakeidp.ProviderApiax, value))
}

// TestTheDocumentedKubernetesMembersAreTheTokens: the page's configuration for Kubernetes
// names the token's secret and members that a token has.
func TestTheDocumentedKubernetesMembersAreTheTokens(t *testing.T) {
	t.Parallel()
	a := pageConnection(t, provider(t))
	token := a.read(t, "apiax", "token", "AWSCURRENT")
	_, section, _ := strings.Cut(readPage(t), "\n## EKS\n")
	section, _, _ = strings.Cut(section, "\n## ")

	type object struct {
		ObjectName string                               `yaml:"objectName"`
		ObjectType string                               `yaml:"objectType"`
		Label      string                               `yaml:"objectVersionLabel"`
		JMESPath   []struct{ Path, ObjectAlias string } `yaml:"jmesPath"`
	}
	var kinds []string
	for _, part := range strings.Split(section, "\n```yaml\n")[1:] {
		text, _, _ := strings.Cut(part, "\n```\n")
		var manifest struct {
			Kind string
			Spec struct {
				Data []struct {
					RemoteRef struct{ Key, Property string } `yaml:"remoteRef"`
				}
				Parameters struct{ Objects string }
			}
		}
		if err := yaml.Unmarshal([]byte(text), &manifest); err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, manifest.Kind)
		named := map[string]string{} // :: member → secret
		for _, d := range manifest.Spec.Data {
			named[d.RemoteRef.Property] = d.RemoteRef.Key
		}
		var objects []object
		if err := yaml.Unmarshal([]byte(manifest.Spec.Parameters.Objects), &objects); err != nil {
			t.Fatal(err)
		}
		for _, o := range objects {
			check(t, "the object's type and label", "secretsmanager AWSCURRENT", o.ObjectType+" "+o.Label)
			for _, path := range o.JMESPath {
				named[path.Path] = o.ObjectName
			}
		}
		check(t, manifest.Kind+"'s members", 2, len(named))
		for member, secret := range named {
			check(t, "the secret of "+member, a.secret("apiax", "token"), secret)
			if token[member] == "" {
				t.Errorf("%s names %q, which no token has", manifest.Kind, member)
			}
		}
	}
	check(t, "the manifests", []string{"ExternalSecret", "SecretProviderClass"}, kinds)
}
