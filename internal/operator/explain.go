package operator

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"evertoken/internal/connection"
	"evertoken/internal/issue"
	"evertoken/internal/renew"
	"evertoken/internal/secrets"
	"evertoken/internal/session"
)

func (a *app) explainCommand() *cobra.Command {
	return &cobra.Command{
		Use: "explain NAME", Short: "Say in words what state a connection is in, " +
			"and what happens next", Args: names(1),
		Long: `Explain says what the labels on a connection's secrets mean, names what is half
done and who finishes it, and has the function say, by a dry run, what its next
run would do and why. It changes nothing.`,
		ValidArgsFunction: a.completeNames,
		RunE:              func(c *cobra.Command, args []string) error { return a.explain(c.Context(), args[0]) },
	}
}

// remark is one statement about a connection.
type remark struct {
	// About is token, credential, session or next.
	About string `json:"about"`
	Text  string `json:"text"`
	// Do is what a person can do about it; may be empty.
	Do string `json:"do,omitempty"`
}

func (a *app) explain(ctx context.Context, name string) error {
	all, err := a.fleet(ctx)
	if err != nil {
		return err
	}
	d, err := all.find(name)
	if err != nil {
		return err
	}
	e := a.judgeAll(ctx, []connection.Declared{d})[0]
	remarks := []remark{tokenRemark(e, a.Now())}
	if d.Err == nil {
		remarks = append(remarks, a.documentRemarks(ctx, d.Connection)...)
		next, needs := a.nextRun(ctx, name)
		remarks = append(remarks, next)
		e.NeedsPerson = e.NeedsPerson || needs
	}
	if a.output == "json" {
		err = a.json(map[string]any{"name": name, "state": e.State, "needs_person": e.NeedsPerson,
			"remarks": remarks})
	} else {
		a.printRemarks(remarks)
	}
	if err == nil && e.NeedsPerson {
		err = errPerson
	}
	return err
}

func (a *app) printRemarks(remarks []remark) {
	about := ""
	for _, r := range remarks {
		label := ""
		if r.About != about {
			label, about = r.About, r.About
		}
		a.printf("%s  %s\n", a.paint(a.Stdout, toneDim, fmt.Sprintf("%-10s", label)), r.Text)
		for line := range strings.Lines(r.Do) {
			a.printf("%-10s    %s\n", "", strings.TrimRight(line, "\n"))
		}
	}
}

// tokenRemark describes the published token.
func tokenRemark(e entry, now time.Time) remark {
	text := map[string]string{
		stateFresh:   "The token is published and fresh.",
		stateDue:     "The token is published and due: the next run renews it.",
		stateLate:    "The token is published, but lives for less than min_remaining: renewals fail.",
		stateExpired: "The token has expired.",
		stateNone:    "No token is published yet.",
		stateWaiting: "No token is published: no credential is stored yet.",
		stateWrong:   "The connection cannot work.",
		stateUnread:  "The token could not be read.",
	}[e.State]
	if e.ExpiresAt != nil && e.ExpiresAt.After(now) {
		text += fmt.Sprintf(" It lives %s more, until %s.", span(e.ExpiresAt.Sub(now)),
			e.ExpiresAt.UTC().Format(time.RFC3339))
	}
	if e.State == stateFresh {
		text += " Evertoken renews it in " + span(e.RenewAfter.Sub(now)) + "."
	}
	r := remark{About: "token", Text: text}
	if e.Reason != "" && e.NeedsPerson {
		r.Text += " " + strings.ToUpper(e.Reason[:1]) + e.Reason[1:] + "."
		if !strings.Contains(e.Next, "evertoken explain") {
			r.Do = e.Next
		}
	}
	for _, u := range e.Unread {
		r.Text += " Could not read " + u + "."
	}
	return r
}

// documentRemarks explain the labels on credential and session.
func (a *app) documentRemarks(ctx context.Context, c connection.Connection) []remark {
	var out []remark
	for _, doc := range documents(c) {
		d, err := a.aws.store.Describe(ctx, doc.id)
		switch kind := secrets.ErrorKind(err); {
		case doc.role == "session" && kind == secrets.ErrNotFound:
			continue // the provider may need none; the next run says so where it does
		case kind == secrets.ErrNotFound || kind == secrets.ErrDeleted:
			out = append(out, remark{doc.role, "The secret " + doc.name() + " " +
				map[bool]string{true: "is marked for deletion.",
					false: "does not exist."}[kind == secrets.ErrDeleted],
				"evertoken check " + c.Name})
			continue
		case kind != secrets.NoError:
			out = append(out, remark{doc.role, fmt.Sprintf("Could not read the labels of %s: %v.", doc.name(), err),
				""})
			continue
		}
		out = append(out, rotationRemarks(c, doc, d)...)
		switch doc.role {
		case "credential":
			out = append(out, credentialRemarks(c, d)...)
		case "session":
			out = append(out, a.sessionRemarks(ctx, c, d)...)
		}
	}
	return out
}

// rotationRemarks say how far a rotation has come.
func rotationRemarks(c connection.Connection, doc document, d secrets.Description) []remark {
	pending := d.Holder(secrets.Pending)
	if pending == "" || pending == d.Holder(secrets.Current) {
		return nil
	}
	return []remark{{doc.role, "A rotation is in progress or stopped half-way: " +
		"AWSPENDING is not on AWSCURRENT. Until the rotation ends, " +
		"runs write this secret only in an emergency. Secrets Manager retries the rotation.",
		"evertoken rotate " + c.Name + " " + doc.role + "   (once AWSPENDING is gone)"}}
}

// credentialRemarks explain the labels on a credential.
func credentialRemarks(c connection.Connection, d secrets.Description) []remark {
	current := d.Holder(secrets.Current)
	if current == "" {
		return []remark{{"credential", "No credential is stored yet.", "evertoken credential " + c.Name}}
	}
	out := []remark{{About: "credential", Text: "A credential is stored."}}
	for _, label := range slices.Sorted(slices.Values(d.Labels[current])) {
		if text, do := noteInWords(label, c.Name); text != "" {
			out = append(out, remark{"credential", text, do})
		}
	}
	if d.Holder(issue.LabelCandidate) != "" {
		out = append(out, remark{"credential", "A new credential is stored for a trial (" +
			issue.LabelCandidate + "), which has not finished. The current credential is unchanged.",
			"evertoken credential " + c.Name + " --resume"})
	}
	if d.Holder("EVERTOKEN_SERVICE_ACCOUNT") != "" {
		out = append(out, remark{"credential", "A move onto a service account is half done: " +
			"its client is stored, but has not got a token yet. " +
			"The current credential is unchanged.",
			"evertoken service-account " + c.Name + " …   (the same command again)"})
	}
	return out
}

// dayOf is the day in the label of a refusal, as 2026-11-21.
func dayOf(label string) string {
	day := strings.TrimPrefix(label, rejected)
	if at, err := time.Parse("20060102", day[:min(8, len(day))]); err == nil {
		return at.Format(time.DateOnly)
	}
	return ""
}

// noteInWords explains a label that a run has left on a version that it sent; "" for one
// of no interest.
func noteInWords(label, name string) (text, do string) {
	switch {
	case strings.HasPrefix(label, rejected):
		grant, again := "", "Evertoken retries it once a day."
		if parts := strings.Split(label, "_"); len(parts) > 4 {
			grant = strings.Join(parts[3:len(parts)-1], "_")
			if renew.AboutPassword(label) {
				again = "Evertoken retries a password that has worked before once a day; " +
					"it never retries one that has not."
			}
			grant = " (" + grant + ")"
		}
		return "On " + dayOf(label) + " the provider refused it" + grant + ". " + again,
			"Store another: evertoken credential " + name + "\nOr, if the fault was at the " +
				"provider and is corrected: evertoken renew " + name
	case strings.HasPrefix(label, "EVERTOKEN_UNSURE_"):
		again := "Evertoken retries it with growing pauses, at most six times a day."
		switch {
		case renew.AboutPassword(label):
			again += " It sends a password that has never worked only three times in all."
		case strings.Contains(label, "_refresh_token_"):
			again = "Evertoken retries an unclear refusal with growing pauses, at most six times " +
				"a day. It sends a refresh token that got no answer once more, then once a day."
		}
		return "It was sent, and no clear answer came. " + again, "Try it now: evertoken renew " + name
	case strings.HasPrefix(label, renew.SeedPrefix):
		return "Its refresh token was spent to open a session, which Evertoken renews. " +
			"Evertoken does not send it again.", ""
	}
	return "", ""
}

// runLasts is the longest that a run of issue can last: the template's Timeout,
// and the second that a deadline may be late.
const runLasts = 241 * time.Second

// sessionRemarks describe the session's stage, as the functions compute it.
func (a *app) sessionRemarks(ctx context.Context, c connection.Connection,
	d secrets.Description,
) []remark {
	stage := session.StageOf(d, d.Holder(secrets.Current), a.Now(), runLasts)
	out := []remark{{"session", stageInWords[stage], stageAdvice(stage, c.Name)}}
	for _, label := range slices.Sorted(slices.Values(d.Labels[d.Holder(secrets.Current)])) {
		if strings.HasPrefix(label, rejected) {
			out = append(out, remark{"session", "On " + dayOf(label) +
				" the provider refused its refresh token. Evertoken uses the stored credential " +
				"instead, if that holds more than a refresh token.", ""})
		}
	}
	if d.Holder(session.LabelKept) != "" {
		out = append(out, remark{"session", "Another run received a session that could not " +
			"become the current one. Evertoken keeps it " +
			"(" + session.LabelKept + ") and uses it if the current one fails.", ""})
	}
	rescue := a.rules("", "").ParameterPrefix + "rescue/" + c.Name
	switch value, err := a.aws.values.Get(ctx, rescue); {
	case err == nil && session.Holds(value):
		out = append(out, remark{"session",
			"A session that could not be stored is kept in the parameter " + rescue + ". " +
				"The next run that needs it stores it and deletes the parameter.",
			"evertoken renew " + c.Name})
	case err != nil && !missing(err):
		out = append(out, remark{"session",
			fmt.Sprintf("Could not read the parameter %s: %v.", rescue, err),
			"You need the right ssm:GetParameter on it, and kms:Decrypt on its key."})
	}
	return out
}

// stageInWords are the stages of a session, in words.
var stageInWords = map[session.Stage]string{
	session.Empty: "No session is open. The next renewal opens one, where the provider " +
		"has sessions.",
	session.Unlabelled: "A session is open, and no run has used it yet.",
	session.Idle:       "No run is using the session at this moment.",
	session.Lost: "A session is open. Its refresh token was sent before, " +
		"and no answer was stored; the provider may have ended the session.",
	session.Busy: "A run has claimed the session and has not stored an answer yet. " +
		"It may still be running, or have died. Other runs wait until the claim is older than a " +
		"run can last.",
	session.Orphaned: "A run claimed the session and died before it stored an answer. " +
		"The next run takes the claim over and recovers what can be recovered.",
}

// stageAdvice is what a person can do in a stage; mostly nothing.
func stageAdvice(stage session.Stage, name string) string {
	switch stage {
	case session.Lost, session.Orphaned:
		return "You need to do nothing. To try it now: evertoken renew " + name + " --wait"
	case session.Busy:
		return "Wait a few minutes. To wait until it ends: evertoken renew " + name + " --wait"
	}
	return ""
}

// nextRun makes a dry run of the function, to say what it would do next.
func (a *app) nextRun(ctx context.Context, name string) (r remark, needsPerson bool) {
	s, err := a.findStack(ctx)
	var report issue.Report
	if err == nil {
		report, err = a.invoke(ctx, s, event{Connections: []string{name}, DryRun: true})
	}
	if err != nil {
		return remark{"next", fmt.Sprintf("The function issue did not say what it would do: %v.",
			err), hints(err)}, false
	}
	e := outcomeOf(report, name)
	text := "The next run: " + e.Outcome
	if e.Reason != "" {
		text += ", " + e.Reason
	}
	if e.ErrorClass != "" {
		text += " (" + e.ErrorClass + ")"
	}
	return remark{"next", text + ".", e.Hint}, e.Outcome == "failed" && e.ErrorClass == "misconfigured" ||
		e.Outcome == "blocked" || e.Outcome == "waiting"
}
