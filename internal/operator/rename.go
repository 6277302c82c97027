package operator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/spf13/cobra"

	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/secrets"
	"evertoken/internal/session"
)

func (a *app) renameCommand() *cobra.Command {
	return a.changing(&cobra.Command{
		Use: "rename OLD NEW", Short: "Give a connection another name, without " +
			"a new login", Args: names(2),
		Long: `Rename copies the credential and the session of a connection to secrets of the
new name, declares it there, and has the function renew it. The session is copied
while no run can use it, so that no refresh token is sent twice. Secrets that the
declaration itself names stay where they are.

Applications then read evertoken/NEW/token. The old secrets stay until "evertoken
remove OLD". Move applications before the old token expires. After a failure, run
the command again: it finishes what is half done.`,
		ValidArgsFunction: a.completeNames,
		RunE: func(c *cobra.Command, args []string) error {
			return a.rename(c.Context(), args[0], args[1])
		},
	})
}

// renaming is one run of rename.
type renaming struct {
	*app
	old, new  string
	stack     stack
	all       fleet
	parameter string // the old one
	version   int64  // of it, in which the old connection is declared
	text      string // of that version
	from      connection.Connection
	json      string // the new declaration
	to        connection.Connection
	resumed   bool // the old declaration is out of force
	declared  bool // the new one exists already
	moved     []copied
}

// copied is a document that gets a new secret.
type copied struct {
	role       string
	from, to   string // names
	source     secrets.Version
	target     held
	wasPresent bool
}

func (a *app) rename(ctx context.Context, old, name string) error {
	x := &renaming{app: a, old: old, new: name}
	for _, step := range []func(context.Context) error{x.find, x.compose, x.read} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return a.change(func(ch changes) error {
		err := x.act(ctx, ch)
		f, ok := errors.AsType[*failure](err)
		if err == nil || !x.resumed || ok && f.code == exitPerson {
			return err
		}
		done := fmt.Sprintf("%s is no longer declared, and %s is not declared yet: "+
			"Evertoken does not renew the token until this is finished", old, name)
		if x.declared {
			done = fmt.Sprintf("%s is declared in place of %s", name, old)
		}
		return half(err, done, fmt.Sprintf("Run it again: evertoken rename %s %s", old, name))
	})
}

// find looks for the old declaration: as currently declared, or, for a renaming that was
// begun, in the version of the parameter that the new secrets name.
func (x *renaming) find(ctx context.Context) (err error) {
	if !connection.ValidName(x.new) {
		return usage("A name is one lower-case letter or digit, then up to 62 letters, "+
			"digits and hyphens.",
			"%q cannot be a connection's name", x.new)
	}
	if x.stack, x.all, err = x.deployed(ctx); err != nil {
		return err
	}
	_, isNew := x.all.find(x.new)
	x.declared = isNew == nil
	d, err := x.all.connection(x.old)
	if err != nil {
		return x.resume(ctx, err)
	}
	if x.declared {
		return person("Choose another name.", "%s is declared already", x.new)
	}
	x.from, x.parameter = d.Connection, d.Parameter
	x.text, x.version, err = x.parameterAt(ctx, d.Parameter)
	return err
}

// resume continues a renaming whose old declaration is deleted.
func (x *renaming) resume(ctx context.Context, notFound error) error {
	for _, role := range []string{"token", "session", "credential"} {
		h, err := x.look(ctx, x.secretName(x.new, role))
		if err != nil {
			return err
		}
		at := strings.LastIndexByte(h.renamedFrom, ':')
		if at < 0 {
			continue
		}
		x.parameter, x.resumed = h.renamedFrom[:at], true
		if x.text, x.version, err = x.parameterAt(ctx, h.renamedFrom); missing(err) {
			return notFound
		} else if err != nil {
			return err
		}
		for _, d := range connection.Load([]connection.Parameter{{Name: x.parameter, Value: x.text}},
			x.rules(x.path, x.aws.region)) {
			if d.Name == x.old && d.Err == nil {
				x.say("An earlier run began to rename %s to %s. "+
					"This command continues from there.\n", x.old, x.new)
				x.from = d.Connection
				return nil
			}
		}
	}
	return notFound
}

// parameterAt reads a parameter, or a version of it as NAME:VERSION.
func (x *renaming) parameterAt(ctx context.Context, name string) (
	text string, version int64, err error,
) {
	out, err := x.aws.parameters.GetParameter(ctx, &ssm.GetParameterInput{Name: &name})
	if missing(err) {
		return "", 0, err
	}
	if err != nil {
		return "", 0, refused(err, "ssm:GetParameter", name)
	}
	return aws.ToString(out.Parameter.Value), out.Parameter.Version, nil
}

func (x *renaming) secretName(name, role string) string {
	return x.stack.secretPrefix + name + "/" + role
}

// compose makes the new declaration: the old one, with the secrets of the old name
// replaced by those of the new.
func (x *renaming) compose(context.Context) error {
	var members map[string]json.RawMessage
	if json.Unmarshal([]byte(declarationIn(x.text, x.old)), &members) != nil {
		return person("Correct it first: evertoken check "+x.old,
			"the declaration of %s in %s cannot be read", x.old, x.parameter)
	}
	all := documents(x.from)
	for _, d := range append(all[1:], all[0]) { // the credential last: its label names the session's secret
		switch {
		case d.name() == x.secretName(x.old, d.role):
			x.moved = append(x.moved, copied{role: d.role, from: d.name(), to: x.secretName(x.new, d.role)})
			delete(members, d.member())
			if x.stack.secretPrefix != defaultPrefix || d.role == roleCopy {
				members[d.member()] = quoted(x.secretName(x.new, d.role))
			}
		case members[d.member()] == nil:
			members[d.member()] = quoted(d.id)
		}
	}
	x.json = string(encoded(members))
	c, err := connection.Parse(x.new, []byte(x.json), x.rules(x.path, x.aws.region).ParameterPrefix)
	x.to = c
	return err
}

// read reads what it will copy, and refuses a session with an exchange in progress.
func (x *renaming) read(ctx context.Context) error {
	rescue := x.rules(x.path, x.aws.region).ParameterPrefix + "rescue/" + x.old
	value, err := x.aws.values.Get(ctx, rescue)
	if err == nil && session.Holds(value) {
		return person("Let a renewal store it first: evertoken renew "+x.old,
			"a session of %s is kept in the parameter %s", x.old, rescue)
	}
	if err != nil && !missing(err) {
		return refused(err, "ssm:GetParameter", rescue)
	}
	if !x.resumed {
		if err := x.calm(ctx); err != nil {
			return err
		}
	}
	if err := x.dropAbsent(ctx); err != nil {
		return err
	}
	for i := range x.moved {
		m := &x.moved[i]
		if m.target, err = x.look(ctx, m.to); err != nil {
			return err
		}
		m.wasPresent = m.target.exists
		if m.target.exists && m.target.renamedFrom != x.origin() {
			return person("Remove it, or choose another name.", "the secret %s is there already", m.to)
		}
		if m.target.deleted {
			return person(x.cli("secretsmanager", "restore-secret", "--secret-id", m.to),
				"the secret %s is marked for deletion", m.to)
		}
		if err := x.readSource(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// dropAbsent omits the secrets that the old connection does not have: mostly the session.
func (x *renaming) dropAbsent(ctx context.Context) error {
	var kept []copied
	for _, m := range x.moved {
		h, err := x.look(ctx, m.from)
		if err != nil {
			return err
		}
		if err := x.owned(h, m.from); err != nil {
			return err
		}
		if h.exists || m.role == "token" {
			kept = append(kept, m)
		}
	}
	x.moved = kept
	return nil
}

// readSource reads the value that is to be copied.
func (x *renaming) readSource(ctx context.Context, m *copied) error {
	if m.role != "credential" && m.role != "session" { // a new token is issued
		return nil
	}
	v, err := x.aws.store.Get(ctx, m.from, secrets.Current)
	if missing(err) {
		return nil
	}
	if s, bad := credential.ParseSession(v.Value); m.role == "session" && bad == nil && s.Opening() {
		return nil // none was opened: a copy would look like a run at work
	}
	m.source = v
	return refused(err, "secretsmanager:GetSecretValue", m.from)
}

// origin is the value of the new secrets' tag while the renaming is not finished.
func (x *renaming) origin() string { return fmt.Sprintf("%s:%d", x.parameter, x.version) }

func (x *renaming) act(ctx context.Context, ch changes) error {
	if !x.declared {
		for i := range x.moved {
			if err := x.provide(ctx, ch, &x.moved[i]); err != nil {
				return err
			}
		}
		if err := x.stop(ctx, ch); err != nil {
			return err
		}
		if err := x.copySession(ctx, ch); err != nil {
			return err
		}
		if err := ch.putParameter(ctx, x.path+x.new, x.json, false); err != nil {
			return err
		}
		x.declared = true
	}
	e, err := x.awaited(ctx, ch, x.stack, event{Connections: []string{x.new}})
	if err != nil {
		return err
	}
	if err := x.clear(ctx, ch); err != nil || x.dryRun {
		return err
	}
	if !hasToken(e.Outcome) {
		return refusal(e)
	}
	if err := x.tellIssued(e); err != nil || x.output == "json" {
		return err
	}
	x.printf("Applications read it in %s now. The secrets of %s are kept; "+
		"mark them for deletion with: evertoken remove %s\n", tokenName(x.to), x.old, x.old)
	return nil
}

// provide creates a secret of the new name, and copies the credential into it.
func (x *renaming) provide(ctx context.Context, ch changes, m *copied) error {
	if !m.wasPresent {
		s := newSecret{name: m.to, keyARN: x.stack.keyARN, tags: map[string]string{parameterTag: x.path + x.new,
			renamedTag: x.origin()}}
		if err := ch.createSecret(ctx, s); err != nil {
			return err
		}
	}
	if m.role != "credential" || m.source.Value.IsZero() || m.target.current() != "" {
		return nil
	}
	id := copyID(m.source)
	if err := ch.copyValue(ctx, m.from, m.source.ID, m.source.Value, m.to, id); err != nil {
		return err
	}
	return x.keepSeed(ctx, ch, m, id)
}

// copyID is the id of a copy: the same for each try, so that a repetition changes
// nothing.
func copyID(v secrets.Version) string { return secrets.DeriveID(v.ARN, v.ID, "rename") }

// stop withdraws the old declaration, and waits until no run can use it: the function runs
// once at a time, so a run that answers after the change began after every earlier one
// had ended. The parameter stays, with its history, until the end.
func (x *renaming) stop(ctx context.Context, ch changes) error {
	if !x.resumed {
		rest, others := without(x.text, x.old)
		if !others {
			rest = `{"connections":{}}`
		}
		if err := ch.putParameter(ctx, x.parameter, rest, true); err != nil {
			return err
		}
		x.resumed = true
	}
	_, err := ch.run(ctx, x.stack, event{Connections: []string{x.new}, DryRun: true})
	return err
}

// clear deletes the old parameter where it declared nothing else.
func (x *renaming) clear(ctx context.Context, ch changes) error {
	text, there := x.all.parameters[x.parameter]
	if !there {
		return nil
	}
	if _, others := without(text, x.old); others {
		return nil
	}
	return ch.deleteParameter(ctx, x.parameter)
}

// declarationIn is a connection's declaration in a parameter of one or several.
func declarationIn(text, name string) string {
	var several struct {
		Connections map[string]json.RawMessage
	}
	if json.Unmarshal([]byte(text), &several) == nil && several.Connections != nil {
		return string(several.Connections[name])
	}
	return text
}
