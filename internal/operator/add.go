package operator

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/exchange"
	"evertoken/internal/issue"
	"evertoken/internal/redact"
	"evertoken/internal/renew"
	"evertoken/internal/secrets"
)

// addOptions are the flags of add.
type addOptions struct {
	provider, way string
	set, member   []string // NAME=VALUE each
	file          string   // of the credential; "-" for standard input
	language      string
	list          bool
}

func (a *app) addCommand() *cobra.Command {
	var o addOptions
	c := a.changing(&cobra.Command{
		Use: "add NAME", Short: "Declare a connection, store its credential and wait for the " +
			"first token",
		Long: `Add asks for what is missing: the provider, its settings, the credential. It
creates the secrets, with their tag and the stack's key, stores the credential,
bound to the provider's host, declares the connection, and has the function try
it. Then it prints how to read the token.

If the command fails half-way, run it again: it finishes the work. A credential
comes from a prompt without echo, from a file, or from standard input; it is
stored in Secrets Manager and nowhere else.`,
		Example: `  evertoken add apiax-prod
  evertoken add flexera-eu --provider flexera --way user --set zone=eu
  evertoken add crm --provider oauth2 --set issuer=https://login.example.com --credential - < credential.json`,
		Args: func(c *cobra.Command, args []string) error {
			if o.list {
				return nil
			}
			return names(1)(c, args)
		},
		RunE: func(c *cobra.Command, args []string) error {
			if o.list {
				return a.listOffers()
			}
			return a.add(c.Context(), args[0], o)
		},
	})
	f := c.Flags()
	f.StringVar(&o.provider, "provider", "", "provider or preset (--list shows them)")
	f.StringVar(&o.way, "way", "", "the way to a token, where a provider has several (--list "+
		"shows them)")
	f.StringArrayVar(&o.set, "set", nil, "a setting, as zone=eu; may be repeated")
	f.StringArrayVar(&o.member, "member", nil, "a member of the declaration, as "+
		"min_remaining=10m; may be repeated")
	f.StringVar(&o.file, "credential", "", "file of the credential's JSON document; "+
		"- for standard input")
	f.StringVar(&o.language, "reader", "", "language to show how to read "+
		"the token: "+strings.Join(languages(),
		", "))
	f.BoolVar(&o.list, "list", false, "list providers and presets, with what each needs")
	_ = c.RegisterFlagCompletionFunc("provider", func(*cobra.Command, []string, string) ([]string,
		cobra.ShellCompDirective) {
		var out []string
		for _, x := range offers() {
			out = append(out, x.provider+"\t"+x.title)
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	})
	_ = c.RegisterFlagCompletionFunc("reader", cobra.FixedCompletions(languages(),
		cobra.ShellCompDirectiveNoFileComp))
	return c
}

// addition is one run of add.
type addition struct {
	*app
	o         addOptions
	name      string
	stack     stack
	all       fleet
	parameter string
	declared  bool   // already
	json      string // the declaration, unless it is declared already
	conn      connection.Connection
	session   bool // whether a session secret is needed
	hosts     []string
	states    map[string]held // :: secret → what it holds
	doc       credential.Credential
	given     bool // whether doc is to be stored
	waysDoc   way
}

// correctFlags is the advice for a wrong declaration that the flags make.
const correctFlags = "Nothing was stored. Correct it with --set or --member, then run this again."

func (a *app) add(ctx context.Context, name string, o addOptions) error {
	if !connection.ValidName(name) {
		return usage("A name is one lower-case letter or digit, then up to 62 letters, "+
			"digits and hyphens.",
			"%q cannot be a connection's name", name)
	}
	if o.language != "" && readers[o.language] == "" {
		return usage("Give one of "+strings.Join(languages(), ", ")+".", "--reader has no such language")
	}
	x := &addition{app: a, o: o, name: name, states: map[string]held{}}
	for _, step := range []func(context.Context) error{x.find, x.declare, x.examine, x.obtain} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return a.change(func(ch changes) error { return x.act(ctx, ch) })
}

// find looks for the stack, and whether the name is declared already.
func (x *addition) find(ctx context.Context) (err error) {
	if x.stack, x.all, err = x.deployed(ctx); err != nil {
		return err
	}
	x.parameter = x.path + x.name
	d, err := x.all.find(x.name)
	if err != nil {
		return nil // it is not declared yet
	}
	if d.Err != nil {
		return person("Correct it in the parameter "+d.Parameter+", then run this again.", "%w", d.Err)
	}
	if differs := x.differs(d); differs != "" {
		return person("Change its declaration in the "+
			"parameter "+d.Parameter+", or choose another name.",
			"%s is declared already, with another %s", x.name, differs)
	}
	x.say("%s is declared already. This command continues from there.\n", x.name)
	x.declared, x.parameter, x.conn = true, d.Parameter, d.Connection
	return nil
}

// declare composes the declaration and checks it with the functions' own parser,
// together with the other connections.
func (x *addition) declare(context.Context) error {
	if !x.declared {
		if err := x.compose(); err != nil {
			return err
		}
		all := []connection.Parameter{{Name: x.parameter, Value: x.json}}
		for name, value := range x.all.parameters {
			all = append(all, connection.Parameter{Name: name, Value: value})
		}
		for _, d := range connection.Load(all, x.rules(x.path, x.aws.region)) {
			if d.Name == x.name {
				if d.Err != nil {
					return usage(correctFlags, "%w", d.Err)
				}
				x.conn = d.Connection
			}
		}
	}
	p, err := x.provider(x.conn)
	if err != nil {
		return usage(correctFlags, "%w", err)
	}
	x.session = p.Traits().Session == exchange.RequiredSession
	x.hosts = hostsOf(x.conn, p.Host())
	return nil
}

// needed are the connection's secrets, the credential last: with it the connection is
// complete.
func (x *addition) needed() []document {
	var out []document
	all := documents(x.conn)
	for _, d := range append(all[1:], all[0]) {
		if d.role != "session" || x.session {
			out = append(out, d)
		}
	}
	return out
}

// examine reads the secrets that already exist. It stops at one that belongs to
// another connection.
func (x *addition) examine(ctx context.Context) error {
	for _, d := range x.needed() {
		h, err := x.look(ctx, d.name())
		if err != nil {
			return err
		}
		x.states[d.name()] = h
		if !h.exists || h.tag == x.parameter || d.role == "credential" && h.tag != "" && x.shares(d) {
			continue
		}
		what := "has no tag " + parameterTag
		if h.tag != "" {
			what = "belongs to the parameter " + h.tag
		}
		return person("If it is meant for this connection, tag it and run this again:\n"+
			x.cli("secretsmanager", "tag-resource", "--secret-id", d.name(), "--tags",
				"Key="+parameterTag+",Value="+x.parameter),
			"the secret %s is there already, and %s", d.name(), what)
	}
	return nil
}

// shares reports whether another connection has the same credential.
func (x *addition) shares(doc document) bool {
	for _, d := range x.all.declared {
		uses := connection.SecretName(d.Connection.Credential) == doc.name()
		if d.Err == nil && d.Name != x.name && uses {
			return true
		}
	}
	return false
}

// obtain reads the credential from the operator, unless one is stored.
func (x *addition) obtain(context.Context) error {
	id := connection.SecretName(x.conn.Credential)
	stored := x.states[id].exists && x.states[id].current() != ""
	if stored && x.o.file == "" {
		x.say("%s already holds a credential. This command uses it.\n", id)
		return nil
	}
	x.given = true
	if x.dryRun {
		return nil
	}
	var err error
	if x.o.file != "" {
		x.doc, err = x.readDocument(x.o.file)
	} else {
		x.doc, err = x.askCredential(x.way(x.conn), getItOf(x.conn.Provider))
	}
	if err != nil {
		return err
	}
	x.doc = bind(x.doc, x.hosts)
	p, err := x.provider(x.conn)
	if err != nil {
		return err
	}
	return usable(p, x.doc)
}

// bind writes the hosts that a credential may be sent to into it, unless it names
// some itself.
func bind(doc credential.Credential, hosts []string) credential.Credential {
	if len(doc.Hosts()) > 0 || len(hosts) == 0 {
		return doc
	}
	return doc.With(credential.Hosts, redact.New(strings.Join(hosts, ",")))
}

// usable returns an error for a credential that cannot work: a member is missing, or
// its own hosts do not include the provider's.
func usable(p exchange.Provider, doc credential.Credential) error {
	const next = "Nothing was stored. Correct the document and run this again."
	if _, err := p.Grants(doc); err != nil {
		return usage(next, "%w", err)
	}
	if len(doc.Hosts()) == 0 { // the stack's AllowedHosts count then, which the function knows
		return nil
	}
	if err := p.Allowed(doc); err != nil {
		return usage(next, "%w", err)
	}
	return nil
}

// act makes the changes and tries the connection.
func (x *addition) act(ctx context.Context, ch changes) error {
	for _, d := range x.needed() {
		if err := x.provide(ctx, ch, d); err != nil {
			return err
		}
	}
	if !x.declared {
		if err := ch.putParameter(ctx, x.parameter, x.json, false); err != nil {
			return err
		}
	}
	e, err := x.firstToken(ctx, ch)
	if err != nil || x.dryRun {
		return err
	}
	if err := x.tellIssued(e); err != nil {
		return err
	}
	x.tellReader()
	return nil
}

// provide creates or restores one secret, and stores the credential in it.
func (x *addition) provide(ctx context.Context, ch changes, d document) error {
	h := x.states[d.name()]
	if h.deleted {
		if err := ch.restoreSecret(ctx, d.name()); err != nil {
			return err
		}
	}
	store := d.role == "credential" && x.given
	if !h.exists {
		s := newSecret{name: d.name(), keyARN: x.stack.keyARN,
			tags: map[string]string{parameterTag: x.parameter}}
		if store {
			s.value = x.content()
		}
		return ch.createSecret(ctx, s)
	}
	if !store {
		return nil
	}
	return ch.putValue(ctx, d.name(), secrets.FreshID(), x.content())
}

// content is the credential's document.
func (x *addition) content() content {
	if x.dryRun {
		return content{form: formOf(x.way(x.conn), x.hosts)}
	}
	return content{secret: x.doc.Encode()}
}

// stored returns the advice that a failed first token adds to the function's hint.
func (x *addition) stored(e issue.Entry) string {
	switch {
	case e.Outcome == string(renew.Blocked) || e.ErrorClass == string(exchange.CredentialDead):
		return "The connection is declared and its credential is stored, " +
			"but the provider refuses that credential. Store another: evertoken credential " +
			x.name
	case e.Outcome == string(renew.Waiting):
		return "" // the refusal says it
	}
	return "The connection is declared and its credential is stored. " +
		"Every scheduled run tries again; to see how it goes: evertoken explain " +
		x.name
}
