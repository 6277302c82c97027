package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	fakelambda "evertoken/internal/fake/lambda"
	"evertoken/internal/issue"
)

// demo shows what the functions do and checks that they do what they should.
type demo struct {
	*world
	out    io.Writer
	events string // the folder
	built  bootstraps
	fleet  []member
	// wrong lists the failed checks.
	wrong []string
	// cost is the start-up time and peak memory of issue, issued the first run
	// that issues.
	cost   fakelambda.Result
	issued outcome
}

// runDemo returns an error if a check failed.
func runDemo(ctx context.Context, root string, built bootstraps, out io.Writer) error {
	w, err := newWorld(ctx, setup{built: built})
	if err != nil {
		return err
	}
	defer w.close()
	fleet, err := newFleet(w.idp)
	if err != nil {
		return err
	}
	if err := store(w.aws, fleet); err != nil {
		return err
	}
	d := &demo{world: w, out: out, events: filepath.Join(root, "events"), built: built, fleet: fleet}
	for _, act := range []func(context.Context) error{
		d.dryRun, d.firstRun, d.secondRun, d.forcedRun, d.rotations, d.lastRun, d.readers, d.figures,
	} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	d.checkLogs()
	if len(d.wrong) > 0 {
		return errors.New("not as it should be:\n  " + strings.Join(d.wrong, "\n  "))
	}
	fmt.Fprintln(out, "\nEverything was as it should be. Next: make run SERVE=1")
	return nil
}

// check notes a failed check.
func (d *demo) check(ok bool, format string, args ...any) {
	if !ok {
		d.wrong = append(d.wrong, fmt.Sprintf(format, args...))
	}
}

func (d *demo) title(text string) { fmt.Fprintf(d.out, "\n%s\n", text) }

// invoke runs issue with a file of events/.
func (d *demo) invoke(ctx context.Context, file string) (outcome, error) {
	event, err := os.ReadFile(filepath.Join(d.events, file))
	if err != nil {
		return outcome{}, fmt.Errorf("reading the event: %w", err)
	}
	o, err := d.runIssue(ctx, event)
	d.cost.InitDuration = max(d.cost.InitDuration, o.InitDuration)
	d.cost.PeakRSS = max(d.cost.PeakRSS, o.PeakRSS)
	return o, err
}

// rows are the fleet, or those of its members that the report is about.
func (d *demo) rows(o outcome, only ...string) []row {
	var rows []row
	for _, m := range d.fleet {
		if len(only) == 0 || slices.Contains(only, m.name) {
			rows = append(rows, row{m.name, m.provider(), o.grants[m.name]})
		}
	}
	return rows
}

// expect compares the outcomes of a run with the expected ones.
func (d *demo) expect(run string, report issue.Report, want func(member) string) {
	got := map[string]string{}
	for _, e := range report.Connections {
		got[e.Name] = e.Outcome
	}
	d.check(report.Checked == len(d.fleet), "%s: %d connections checked, %d declared", run,
		report.Checked, len(d.fleet))
	for _, m := range d.fleet {
		outcome := got[m.name]
		if outcome == "" {
			outcome = "fresh" // not listed
		}
		d.check(outcome == want(m), "%s: %s is %s, want %s", run, m.name, outcome, want(m))
	}
}

func (d *demo) dryRun(ctx context.Context) error {
	o, err := d.invoke(ctx, "issue-dry-run.json")
	if err != nil {
		return err
	}
	d.title("1. A dry run (events/issue-dry-run.json): what would happen. It spends and writes nothing.")
	fmt.Fprintf(d.out, "  %s\n  %d AWS calls (%d of them writes), %d requests to providers\n",
		counts(o.Report), o.awsCalls, o.awsWrites, o.providerRequests)
	d.expect("dry run", o.Report, func(m member) string { return m.expect })
	d.check(o.providerRequests == 0 && o.awsWrites == 0,
		"dry run: %d requests to providers and %d writes, want none", o.providerRequests, o.awsWrites)
	return nil
}

func (d *demo) firstRun(ctx context.Context) error {
	o, err := d.invoke(ctx, "issue-schedule.json")
	if err != nil {
		return err
	}
	d.issued = o
	d.title("2. The first heartbeat (events/issue-schedule.json): no token exists yet, so it issues all.")
	writeReport(d.out, d.rows(o), o.Report)
	d.expect("first run", o.Report, func(m member) string { return m.expect })
	d.check(o.awsWrites > 0, "first run: nothing was written")
	for _, m := range d.fleet {
		if m.expect == "issued" {
			d.checkPublished(m)
		}
	}
	return nil
}

// checkPublished asks the provider whether it accepts the published tokens.
func (d *demo) checkPublished(m member) {
	_, token := d.published(m)
	d.check(token != "" && d.idp.Accepts(m.provider(), token),
		"%s: its provider does not accept what is published", m.name)
}

// published is what is stored for readers: the document, and the token in it.
func (d *demo) published(m member) (document, token string) {
	if name := m.tokenParameter(); name != "" {
		p, _ := d.aws.Parameter(name)
		document = p.Value
	} else {
		v, _ := d.aws.Secret(m.secret("token")).Labelled("AWSCURRENT")
		document = v.Value
	}
	return document, memberOf(document, "access_token")
}

// memberOf is a string in a JSON document, "" if there is none.
func memberOf(document, name string) string {
	var members map[string]json.RawMessage
	var text string
	if json.Unmarshal([]byte(document), &members) != nil || json.Unmarshal(members[name], &text) != nil {
		return ""
	}
	return text
}

func (d *demo) secondRun(ctx context.Context) error {
	o, err := d.invoke(ctx, "issue-schedule.json")
	if err != nil {
		return err
	}
	d.title("3. The next heartbeat: it renews only tokens that are due; tokens of 15 minutes always are.")
	var renewed []string
	for _, e := range o.Connections {
		if e.Outcome == "issued" {
			renewed = append(renewed, e.Name)
		}
	}
	writeReport(d.out, d.rows(o, renewed...), o.Report)
	fmt.Fprintf(d.out, "  %d AWS calls, %d requests to providers\n", o.awsCalls, o.providerRequests)
	d.expect("second run", o.Report, func(m member) string { return m.expectAgain })
	return nil
}

func (d *demo) forcedRun(ctx context.Context) error {
	const name = "flexera-user"
	m := d.member(name)
	_, before := d.published(m)
	o, err := d.invoke(ctx, "issue-one.json")
	if err != nil {
		return err
	}
	_, after := d.published(m)
	d.title("4. A forced run for one connection (events/issue-one.json): it renews a token that is not due.")
	writeReport(d.out, d.rows(o, name), o.Report)
	fmt.Fprintf(d.out, "  access_token %s → %s\n", fingerprint(before), fingerprint(after))
	d.check(o.Checked == 1 && o.Issued == 1, "forced run: checked %d, issued %d, want one of each",
		o.Checked, o.Issued)
	d.check(before != after, "forced run: the token is the old one")
	d.checkPublished(m)
	return nil
}

func (d *demo) member(name string) member {
	i := slices.IndexFunc(d.fleet, func(m member) bool { return m.name == name })
	return d.fleet[i]
}

// lastRun shows that the connections work after the rotations.
func (d *demo) lastRun(ctx context.Context) error {
	o, err := d.invoke(ctx, "issue-schedule.json")
	if err != nil {
		return err
	}
	d.title("6. A heartbeat after the rotations.")
	fmt.Fprintf(d.out, "  %s\n  %d AWS calls, %d requests to providers\n", counts(o.Report),
		o.awsCalls, o.providerRequests)
	d.expect("last run", o.Report, func(m member) string { return m.expectAgain })
	return nil
}

// readers reads as applications do, through the SDK.
func (d *demo) readers(ctx context.Context) error {
	d.title("7. What an application reads now; each is accepted by its provider.")
	for _, name := range []string{"flexera-user", "oauth2-plain"} {
		id := d.member(name).secret("token")
		if copied := d.member(name).plainCopy(); copied != "" {
			id = copied
		}
		out, err := d.secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id})
		if err != nil {
			return fmt.Errorf("reading the token of %s: %w", name, err)
		}
		d.show(name, "secret "+id, aws.ToString(out.SecretString))
	}
	const name = "flexnet-parameter"
	parameter := d.member(name).tokenParameter()
	out, err := d.parameters.GetParameter(ctx,
		&ssm.GetParameterInput{Name: &parameter, WithDecryption: aws.Bool(true)})
	if err != nil {
		return fmt.Errorf("reading the token of %s: %w", name, err)
	}
	d.show(name, "SecureString "+parameter, aws.ToString(out.Parameter.Value))
	for _, m := range d.fleet {
		if m.expect == "issued" {
			d.checkPublished(m)
		}
	}
	return nil
}

func (d *demo) show(name, where, document string) {
	m := d.member(name)
	want, token := d.published(m)
	if m.plainCopy() != "" {
		want = token
	}
	d.check(document == want, "%s: readers get something else than what was published", name)
	fmt.Fprintf(d.out, "  %s\n    %s\n", where, mask(document, token))
}

// figures prints what the functions cost.
func (d *demo) figures(context.Context) error {
	d.title("8. What it costs.")
	t := table{head: []string{"function", "bootstrap", "init", "peak memory"},
		right: map[int]bool{1: true, 2: true, 3: true}}
	for _, f := range []struct {
		name, binary string
		result       fakelambda.Result
	}{{"issue", d.built.issue, d.cost}, {"rotate", d.built.rotate, d.rotateCost()}} {
		info, err := os.Stat(f.binary)
		if err != nil {
			return fmt.Errorf("measuring the bootstrap: %w", err)
		}
		t.rows = append(t.rows,
			[]string{f.name, mebibytes(info.Size()),
				f.result.InitDuration.Round(time.Millisecond).String(), mebibytes(f.result.PeakRSS)})
	}
	t.write(d.out)
	fmt.Fprintf(d.out, "  first run: %d tokens in %s, %.1f AWS calls and %.1f requests to providers per token\n",
		d.issued.Issued, d.issued.Duration.Round(time.Millisecond),
		per(d.issued.awsCalls, d.issued.Issued), per(d.issued.providerRequests, d.issued.Issued))
	return nil
}

func per(n, of int) float64 { return float64(n) / float64(max(1, of)) }

// checkLogs looks for secrets in what the functions wrote.
func (d *demo) checkLogs() {
	logs := slices.Concat(d.issue.Logs(), d.rotate.Logs())
	secrets := d.idp.Canaries()
	for _, secret := range secrets {
		d.check(!bytes.Contains(logs, []byte(secret)), "a log line holds the secret %s", fingerprint(secret))
	}
	fmt.Fprintf(d.out, "  none of the %d secrets is in the %d log lines of the functions\n",
		len(secrets), bytes.Count(logs, []byte("\n")))
}
