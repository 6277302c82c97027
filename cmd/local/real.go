package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"evertoken/internal/connection"
	"evertoken/internal/strictjson"
)

var errNotWhole = errors.New("not every connection has a fresh token, see the table")

// parameterPrefix is the default of EVERTOKEN_PARAMETER_PREFIX.
const parameterPrefix = "/evertoken/"

// passedOn are the variables that a function needs to reach a provider from here, and
// those that allow hosts.
var passedOn = []string{
	"EVERTOKEN_ALLOW_LOOPBACK_HTTP", "EVERTOKEN_ALLOWED_HOSTS",
	"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR",
}

// realRun is one run against real providers, with AWS alone a fake.
type realRun struct {
	declared    map[string]json.RawMessage // :: name → connection
	credentials map[string]string          // :: name → document
	sessions    map[string]json.RawMessage // :: name → document, of earlier runs too
	file        string                     // of sessions
	sessionOf   map[string]string          // :: name → secret
	// connections and credentialsFile are the files that messages name.
	connections, credentialsFile string
}

// runReal runs issue once. Its end and that of ctx do not interrupt the run: a
// refresh token that was spent must be stored.
func runReal(ctx context.Context, o options, lookup func(string) (string, bool), built bootstraps,
	out io.Writer) error {
	r, err := loadReal(o, lookup)
	if err != nil {
		return err
	}
	var env []string
	for _, name := range passedOn {
		if value, ok := lookup(name); ok {
			env = append(env, name+"="+value)
		}
	}
	ctx = context.WithoutCancel(ctx)
	w, err := newWorld(ctx, setup{built: built, real: true, env: env})
	if err != nil {
		return err
	}
	defer w.close()
	rows, missing, err := r.store(ctx, w)
	if err != nil {
		return err
	}
	if err := r.save(); err != nil { // before anything is spent
		return err
	}
	fmt.Fprintf(out, `
This asks the real providers for tokens. It spends single-use refresh tokens, also
those in your credentials. It writes the next ones to %s, which only
you can read, and where the next run finds them. To use one elsewhere, put its
document into the session secret.
`, r.file)
	if len(missing) > 0 {
		fmt.Fprintf(out,
			"\nNo credential was given for some connections. Set %s,\nor name a file: make run CONNECTIONS=%s CREDENTIALS=credentials.json\n",
			strings.Join(missing, ", "), o.connections)
	}
	event, err := r.event()
	if err != nil {
		return err
	}
	result, err := w.runIssue(ctx, event)
	if saveErr := r.saveSessions(w); saveErr != nil {
		return errors.Join(err, saveErr)
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(out)
	for i, e := range result.Connections {
		result.Connections[i] = r.speakHere(e)
	}
	for i := range rows {
		rows[i].grant = result.grants[rows[i].name]
	}
	writeReport(out, rows, result.Report)
	fmt.Fprintf(out, "  sessions kept in %s: %d\n", r.file, len(r.sessions))
	if result.Issued+result.Fresh != result.Checked {
		return errNotWhole
	}
	return nil
}

// event asks for every connection now. Each run starts a new fake AWS, so nothing was
// refused before, and no other run is in progress, though an earlier run may have stored
// the session only seconds ago.
func (r *realRun) event() ([]byte, error) {
	return json.Marshal(map[string]any{"connections": slices.Sorted(maps.Keys(r.declared)), "force": true})
}

// loadReal reads the files and the environment.
func loadReal(o options, lookup func(string) (string, bool)) (*realRun, error) {
	text, err := os.ReadFile(o.connections)
	if err != nil {
		return nil, fmt.Errorf("reading the connections: %w", err)
	}
	var several struct {
		Connections map[string]json.RawMessage `json:"connections"`
	}
	if member, problem := strictjson.Decode(text, &several); problem != "" {
		return nil, fmt.Errorf("reading the connections: %q %s", member, problem)
	}
	if len(several.Connections) == 0 {
		return nil, errors.New(`reading the connections: "connections" is empty`)
	}
	r := &realRun{declared: several.Connections, file: o.sessions, sessionOf: map[string]string{},
		connections: o.connections, credentialsFile: o.credentials}
	for name := range r.declared {
		if !connection.ValidName(name) {
			return nil, errors.New("reading the connections: a name is not one lower-case letter or digit, then up to 62 letters, digits and hyphens")
		}
	}
	if r.credentials, err = readCredentials(o.credentials, slices.Sorted(maps.Keys(r.declared)), lookup); err != nil {
		return nil, err
	}
	r.sessions, err = readDocuments(r.file)
	if errors.Is(err, fs.ErrNotExist) {
		r.sessions, err = map[string]json.RawMessage{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the sessions: %w", err)
	}
	return r, nil
}

// readCredentials takes each credential from the environment, or else from the
// file, which may be "".
func readCredentials(file string, names []string,
	lookup func(string) (string, bool)) (map[string]string, error) {
	documents := map[string]json.RawMessage{}
	if file != "" {
		var err error
		if documents, err = readDocuments(file); err != nil {
			return nil, fmt.Errorf("reading the credentials: %w", err)
		}
	}
	credentials := map[string]string{}
	for _, name := range names {
		if text, ok := lookup(credentialVariable(name)); ok && text != "" {
			credentials[name] = text
		} else if document, ok := documents[name]; ok {
			credentials[name] = string(document)
		}
	}
	return credentials, nil
}

func credentialVariable(name string) string {
	return "EVERTOKEN_CREDENTIAL_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// readDocuments reads a JSON object of documents by connection name. Its error
// never quotes one.
func readDocuments(file string) (map[string]json.RawMessage, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	documents := map[string]json.RawMessage{}
	if json.Unmarshal(text, &documents) != nil {
		return nil, fmt.Errorf("%s is not a JSON object of documents by connection name", file)
	}
	return documents, nil
}

// store puts everything into the fake AWS. A connection that cannot be read is declared
// unchanged, and the run reports what is wrong with it. missing are the variables that
// the credentials name and that are not set.
func (r *realRun) store(ctx context.Context, w *world) (rows []row, missing []string, err error) {
	values := map[string]string{} // :: secret → value, "" for none
	users := map[string]string{}  // :: variable → the credential it is for
	for _, name := range slices.Sorted(maps.Keys(r.declared)) {
		c, problem := connection.Parse(name, r.declared[name], parameterPrefix)
		rows = append(rows, row{name: name, provider: c.Provider})
		if err := w.putParameter(ctx, connectionsPath+name, localNames(r.declared[name])); err != nil {
			return nil, nil, fmt.Errorf("declaring %s: %w", name, err)
		}
		if problem != nil {
			continue
		}
		credential := connection.SecretName(c.Credential)
		values[credential] = cmp.Or(values[credential], r.credentials[name]) // it may serve several
		users[credentialVariable(name)] = credential
		r.sessionOf[name] = connection.SecretName(c.Session)
		values[r.sessionOf[name]] = string(r.sessions[name])
		if c.Token != "" {
			values[connection.SecretName(c.Token)] = ""
		}
	}
	for _, secret := range slices.Sorted(maps.Keys(values)) {
		if err := w.createSecret(ctx, secret, values[secret]); err != nil {
			return nil, nil, fmt.Errorf("creating %s: %w", secret, err)
		}
	}
	for _, variable := range slices.Sorted(maps.Keys(users)) {
		if values[users[variable]] == "" {
			missing = append(missing, variable)
		}
	}
	return rows, missing, nil
}

// localNames writes the names of secrets in place of their ARNs, which are those
// of a real account.
func localNames(declared json.RawMessage) string {
	var members map[string]json.RawMessage
	if json.Unmarshal(declared, &members) != nil {
		return string(declared)
	}
	for _, document := range []string{"credential", "session", "token"} {
		var id string
		if json.Unmarshal(members[document], &id) == nil && strings.HasPrefix(id, "arn:") {
			members[document], _ = json.Marshal(connection.SecretName(id)) // a string always encodes
		}
	}
	text, err := json.Marshal(members)
	if err != nil {
		return string(declared)
	}
	return string(text)
}

// saveSessions saves the session secrets after the run.
func (r *realRun) saveSessions(w *world) error {
	for name, secret := range r.sessionOf {
		if v, ok := w.aws.Secret(secret).Labelled("AWSCURRENT"); ok && v.HasValue && json.Valid([]byte(v.Value)) {
			r.sessions[name] = json.RawMessage(v.Value)
		}
	}
	return r.save()
}

// save replaces the file by a whole new one, which only its owner can read.
func (r *realRun) save() error {
	text, err := json.MarshalIndent(r.sessions, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the sessions: %w", err)
	}
	next, err := os.CreateTemp(filepath.Dir(r.file), ".sessions-*") // mode 0600
	if err != nil {
		return fmt.Errorf("writing the sessions: %w", err)
	}
	_, err = next.Write(append(text, '\n'))
	err = errors.Join(err, next.Sync(), next.Close())
	if err == nil {
		err = os.Rename(next.Name(), r.file)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing the sessions: %w", err), os.Remove(next.Name()))
	}
	return nil
}
