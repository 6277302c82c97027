package operator

import (
	"context"

	"fmt"

	"github.com/spf13/cobra"

	"evertoken/internal/connection"
	"evertoken/internal/credential"
	"evertoken/internal/issue"
	"evertoken/internal/redact"
	"evertoken/internal/secrets"
)

func (a *app) credentialCommand() *cobra.Command {
	var file string
	var resume bool
	c := a.changing(&cobra.Command{
		Use: "credential NAME", Short: "Try a new credential, and store it only " +
			"if it works", Args: names(1),
		Long: `Credential stores a new credential beside the present one, has the function try
it, and makes it the present one (AWSCURRENT) only if the provider issued a token
for it. A credential that the provider refuses changes nothing.

The credential comes from a prompt without echo, from a file, or from standard
input. If this command failed half-way, --resume continues with the credential
that it stored.`,
		Example: "  evertoken credential apiax-prod\n  evertoken credential crm --credential - < " +
			"credential.json",
		ValidArgsFunction: a.completeNames,
		RunE: func(c *cobra.Command, args []string) error {
			return a.credential(c.Context(), args[0], file, resume)
		},
	})
	c.Flags().StringVar(&file, "credential", "",
		"file of the credential's JSON document; - for standard input")
	c.Flags().BoolVar(&resume, "resume", false, "continue with the credential that an earlier "+
		"run stored")
	c.MarkFlagsMutuallyExclusive("credential", "resume")
	return c
}

// replacement is one run of credential.
type replacement struct {
	*app
	target
	secret  held
	id      string // of the secret
	shown   string // its name
	version string // the candidate's
	doc     credential.Credential
}

func (a *app) credential(ctx context.Context, name, file string, resume bool) error {
	t, err := a.target(ctx, name)
	if err != nil {
		return err
	}
	x := &replacement{app: a, target: t, id: t.Connection.Credential,
		shown: connection.SecretName(t.Connection.Credential)}
	if x.secret, err = a.look(ctx, x.id); err != nil {
		return err
	}
	if err := x.ready(); err != nil {
		return err
	}
	left := versionWith(x.secret.labels, issue.LabelCandidate)
	switch {
	case resume && left == "":
		return usage("Run it without --resume: evertoken credential "+x.Name,
			"%s has no candidate of an earlier run", x.shown)
	case resume:
		x.version = left
	default:
		if left != "" {
			a.say("This run replaces the candidate that an earlier run left in %s.\n", x.shown)
		}
		if err := x.obtain(file); err != nil {
			return err
		}
		x.version = secrets.FreshID()
	}
	return a.change(func(ch changes) error {
		if x.secret.current() == "" {
			return x.first(ctx, ch)
		}
		return x.try(ctx, ch, resume)
	})
}

// ready refuses a secret in which nothing can be stored.
func (x *replacement) ready() error {
	pending := versionWith(x.secret.labels, secrets.Pending)
	switch {
	case !x.secret.exists:
		return person("Create it with: evertoken add "+x.Name, "the secret %s does not exist", x.shown)
	case x.secret.deleted:
		return person("Restore it, then run this again:\n"+
			x.cli("secretsmanager", "restore-secret", "--secret-id", x.shown),
			"the secret %s is marked for deletion", x.shown)
	case pending != "" && pending != x.secret.current():
		return person("Wait until it ends. `evertoken explain "+x.Name+"` shows its result.",
			"a rotation of %s is in progress: a new version would end it", x.shown)
	}
	return nil
}

// obtain gets the credential and checks that it has what the provider needs.
func (x *replacement) obtain(file string) error {
	if x.dryRun {
		return nil
	}
	var err error
	if file != "" {
		x.doc, err = x.readDocument(file)
	} else {
		x.doc, err = x.askCredential(wayOf(x.Connection), getItOf(x.Connection.Provider))
	}
	if err != nil {
		return err
	}
	p, err := x.provider(x.Connection)
	if err != nil {
		return err
	}
	x.doc = bind(x.doc, hostsOf(x.Connection, p.Host()))
	return usable(p, x.doc)
}

func (x *replacement) content() content {
	if !x.dryRun {
		return content{secret: x.doc.Encode()}
	}
	var hosts []string
	if p, err := x.provider(x.Connection); err == nil {
		hosts = hostsOf(x.Connection, p.Host())
	}
	return content{form: formOf(wayOf(x.Connection), hosts), secret: redact.Secret{}}
}

// first stores the first credential: no earlier one can be lost.
func (x *replacement) first(ctx context.Context, ch changes) error {
	if err := ch.putValue(ctx, x.id, x.version, x.content()); err != nil {
		return err
	}
	e, err := x.awaited(ctx, ch, x.stack, event{Connections: []string{x.Name}, Force: true})
	if err != nil || x.dryRun {
		return err
	}
	if !hasToken(e.Outcome) {
		return refusal(e)
	}
	return x.tellIssued(e)
}

// try has the function try the candidate, and makes it AWSCURRENT.
func (x *replacement) try(ctx context.Context, ch changes, resume bool) error {
	if !resume {
		if err := ch.putValue(ctx, x.id, x.version, x.content(), issue.LabelCandidate); err != nil {
			return err
		}
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	e, err := x.awaited(ctx, ch, x.stack, event{Connections: []string{x.Name}, Candidate: true})
	again := "Continue with the stored candidate: evertoken credential " + x.Name + " --resume"
	stored := "the candidate is stored in " + x.shown + " with the label " + issue.LabelCandidate
	switch {
	case err != nil:
		return half(err, stored+", and the result of its trial is unknown", again)
	case e.Outcome != "issued" && notYet(e):
		return half(refusal(e), stored, again)
	case e.Outcome != "issued":
		why := refusal(e)
		if err := ch.moveLabel(context.WithoutCancel(ctx), x.id, issue.LabelCandidate, "",
			x.version); err != nil {
			return half(err, fmt.Sprintf("the candidate was refused (%v)", why),
				"The label "+issue.LabelCandidate+" harms nothing; the next run of this command "+
					"replaces it.")
		}
		return &failure{exitPerson,
			fmt.Errorf("the new credential does not work, and nothing was changed: %w", why),
			"Correct the credential, then run this again."}
	}
	return x.promote(ctx, ch, e)
}

// promote moves AWSCURRENT onto the candidate, by compare-and-swap. An interrupt does not
// stop it: the candidate is in use already.
func (x *replacement) promote(ctx context.Context, ch changes, e issue.Entry) error {
	ctx = context.WithoutCancel(ctx)
	if err := ch.moveLabel(ctx, x.id, secrets.Current, x.version, x.secret.current()); err != nil {
		return half(err, "the candidate works and its token is published, but it is not AWSCURRENT of "+
			x.shown+" yet", "Continue with: evertoken credential "+x.Name+" --resume")
	}
	if err := ch.moveLabel(ctx, x.id, issue.LabelCandidate, "", x.version); err != nil {
		return half(err, "the new credential is AWSCURRENT", "The label "+issue.LabelCandidate+
			" is still there. It harms nothing; the next run of this command replaces it.")
	}
	if x.dryRun {
		return nil
	}
	return x.tellIssued(e)
}
