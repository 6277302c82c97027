package connection_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"evertoken/internal/connection"
)

var rules = connection.Rules{Path: "/evertoken/connections/", ParameterPrefix: prefix, Region: "eu-central-1"}

// load loads parameters given as name, value, name, value, and returns the error of each
// connection, "" where there is none.
func load(t *testing.T, pairs ...string) (problems map[string]string) {
	t.Helper()
	var parameters []connection.Parameter
	for i := 0; i < len(pairs); i += 2 {
		parameters = append(parameters, connection.Parameter{Name: rules.Path + pairs[i], Value: pairs[i+1]})
	}
	problems = map[string]string{}
	last := ""
	for i, d := range connection.Load(parameters, rules) {
		if i > 0 && d.Name <= last {
			t.Errorf("entry %q comes after %q", d.Name, last)
		}
		last = d.Name
		problems[d.Name] = ""
		if d.Err == nil {
			if d.Connection.Name != d.Name {
				t.Errorf("entry %q holds connection %q", d.Name, d.Connection.Name)
			}
			continue
		}
		var e *connection.Error
		if !errors.As(d.Err, &e) {
			t.Errorf("%s: error %v is no *connection.Error", d.Name, d.Err)
			continue
		}
		if strings.Contains(d.Err.Error(), canary) {
			t.Errorf("%s: the error holds a value: %v", d.Name, d.Err)
		}
		problem, _, _ := strings.Cut(whereRE.ReplaceAllString(e.Problem, ""), ":")
		problems[d.Name] = strings.TrimSpace(e.Member + " " + problem)
	}
	return problems
}

const (
	also  = "is also connection "
	twice = "is declared twice"
)

// whereRE is the part of a problem that says where connections are declared.
var whereRE = regexp.MustCompile(` \(parameter [^)]*\)|, in the parameters? [^:]*`)

func TestEachDocumentHasOneOwner(t *testing.T) {
	t.Parallel()
	arn := func(region, name string) string {
		return "arn:aws:secretsmanager:" + region + ":123456789012:secret:" + name + "-AbCdEf"
	}
	tests := []struct {
		name       string
		parameters []string
		want       map[string]string
	}{
		{"none", nil, map[string]string{}},
		{"one to a parameter", []string{"a", `{"provider":"apiax"}`, "b", `{"provider":"flexera"}`}, map[string]string{"a": "", "b": ""}},
		{"several to a parameter", []string{"all", `{"connections":{"a":{"provider":"apiax"},"b":{"provider":"flexera"}}}`, "c", `{"provider":"apiax"}`},
			map[string]string{"a": "", "b": "", "c": ""}},
		{"several deeper down", []string{"team/all", `{"connections":{"a":{"provider":"apiax"}}}`}, map[string]string{"a": ""}},
		{"none in a parameter for several", []string{"all", `{"connections":{}}`}, map[string]string{}},
		{"one bad among several", []string{"all", `{"connections":{"a":{"provider":"apiax"},"b":{"provider":7},"c":"` + canary + `"}}`},
			map[string]string{"a": "", "b": "provider has the wrong type", "c": "is not a JSON object"}},
		{"a byte order mark", []string{"a", "\ufeff" + `{"provider":"apiax"}`, "s", "\ufeff" + `{"connections":{"b":{"provider":"apiax"}}}`}, map[string]string{"a": "", "b": ""}},
		{"bad parameter", []string{"a", `{"provider":"apiax"}`, "b", canary}, map[string]string{"a": "", "b": "is not a JSON object (the fault is near byte 1)"}},
		{"an unknown member next to connections", []string{"all", `{"connections":{"a":{"provider":"apiax"}},"version":"` + canary + `"}`},
			map[string]string{"all": "version is not known here; the known ones are connections"}},
		{"connections of another type", []string{"all", `{"connections":["` + canary + `"]}`}, map[string]string{"all": "connections has the wrong type"}},
		{"connections null", []string{"all", `{"connections":null}`}, map[string]string{"all": "connections is null"}},
		{"invalid name among several", []string{"all", `{"connections":{"A b":{"provider":"apiax"},"b":{"provider":"apiax"}}}`},
			map[string]string{"A?b": "must be a connection's name", "b": ""}},
		{"invalid parameter name", []string{"A_b", `{"provider":"apiax"}`}, map[string]string{"A_b": "a connection's name must be one lower-case letter or digit, then up to 62 letters, digits and hyphens; the name of one parameter is not"}},
		{"declared twice in two parameters", []string{"a", `{"provider":"apiax"}`, "all", `{"connections":{"a":{"provider":"apiax"},"b":{"provider":"apiax"}}}`},
			map[string]string{"a": twice, "b": ""}},
		{"declared three times", []string{"a", `{"provider":"apiax"}`, "x", `{"connections":{"a":{"provider":"apiax"}}}`, "y", `{"connections":{"a":{"provider":"apiax"}}}`},
			map[string]string{"a": twice}},
		{"declared twice in one parameter", []string{"all", `{"connections":{"a":{"provider":"apiax"},"b":{"provider":"apiax"},"a":{"provider":"flexera"}}}`},
			map[string]string{"a": twice, "b": ""}},
		{"declared twice, once badly", []string{"a", canary, "all", `{"connections":{"a":{"provider":"apiax"}}}`}, map[string]string{"a": twice}},
		{"one token for two", []string{"a", `{"provider":"apiax","token":"t"}`, "b", `{"provider":"apiax","token":"t"}`, "c", `{"provider":"apiax"}`},
			map[string]string{"a": "token " + also + "b's token", "b": "token " + also + "a's token", "c": ""}},
		{"one token for two, by name and ARN", []string{"a", `{"provider":"apiax","token":"t"}`, "b", `{"provider":"apiax","token":"` + arn("eu-central-1", "t") + `"}`},
			map[string]string{"a": "token " + also + "b's token", "b": "token " + also + "a's token"}},
		{"one session for two", []string{"a", `{"provider":"apiax","session":"s"}`, "b", `{"provider":"apiax","session":"s"}`},
			map[string]string{"a": "session " + also + "b's session", "b": "session " + also + "a's session"}},
		{"one parameter for two", []string{"a", `{"provider":"apiax","token_parameter":"/evertoken/t"}`, "b", `{"provider":"apiax","token_parameter":"/evertoken/t"}`},
			map[string]string{"a": "token_parameter " + also + "b's token_parameter",
				"b": "token_parameter " + also + "a's token_parameter"}},
		{"a session that is another's token", []string{"a", `{"provider":"apiax","session":"s"}`, "b", `{"provider":"apiax","token":"s"}`},
			map[string]string{"a": "session " + also + "b's token", "b": "token " + also + "a's session"}},
		{"a token that is another's credential", []string{"a", `{"provider":"apiax","credential":"c"}`, "b", `{"provider":"apiax","token":"c"}`},
			map[string]string{"a": "credential " + also + "b's token", "b": "token " + also + "a's credential"}},
		{"a session that is another's credential", []string{"a", `{"provider":"apiax","credential":"c"}`, "b", `{"provider":"apiax","session":"c"}`},
			map[string]string{"a": "credential " + also + "b's session", "b": "session " + also + "a's credential"}},
		{"a secret and a parameter of one name", []string{"a", `{"provider":"apiax","token":"/evertoken/t"}`, "b", `{"provider":"apiax","token_parameter":"/evertoken/t"}`},
			map[string]string{"a": "", "b": ""}},
		{"a credential for two of one provider", []string{"a", `{"provider":"apiax","credential":"c"}`, "b", `{"provider":"apiax","credential":"c"}`},
			map[string]string{"a": "", "b": ""}},
		{"a credential for two providers", []string{"a", `{"provider":"apiax","credential":"c"}`, "b", `{"provider":"flexera","credential":"c"}`},
			map[string]string{
				"a": "credential is also the credential of connection b of provider flexera, and a credential can serve only one provider",
				"b": "credential is also the credential of connection a of provider apiax, and a credential can serve only one provider"}},
		{"a bad connection shares nothing", []string{"a", `{"provider":"apiax","token":"t"}`, "b", `{"provider":"apiax","token":"t","format":"?"}`},
			map[string]string{"a": "", "b": "format is not supported"}},
		{"an intruder's credential is the owner's session", []string{"own", `{"provider":"apiax"}`, "zz", `{"provider":"flexera","credential":"evertoken/own/session"}`},
			map[string]string{"own": "", "zz": "credential " + also + "own's session"}},
		{"an intruder's credential is the owner's token", []string{"own", `{"provider":"apiax"}`, "aa", `{"provider":"flexera","credential":"evertoken/own/token"}`},
			map[string]string{"own": "", "aa": "credential " + also + "own's token"}},
		{"an intruder's credential is the owner's copy", []string{"own", `{"provider":"apiax","plain_copy":"evertoken/own/copy"}`, "aa", `{"provider":"flexera","credential":"evertoken/own/copy"}`},
			map[string]string{"own": "", "aa": "credential " + also + "own's plain_copy"}},
		{"an intruder's session is the owner's, by ARN", []string{"own", `{"provider":"apiax"}`, "aa", `{"provider":"apiax","session":"` + arn("eu-central-1", "evertoken/own/session") + `"}`},
			map[string]string{"own": "", "aa": "session " + also + "own's session"}},
		{"an intruder's token is the owner's credential", []string{"own", `{"provider":"apiax"}`, "aa", `{"provider":"apiax","token":"evertoken/own/credential"}`},
			map[string]string{"own": "", "aa": "token " + also + "own's credential"}},
		{"an intruder's copy is the owner's session", []string{"own", `{"provider":"apiax"}`, "aa", `{"provider":"apiax","plain_copy":"evertoken/own/session"}`},
			map[string]string{"own": "", "aa": "plain_copy " + also + "own's session"}},
		{"an intruder of another provider, first by name", []string{"own", `{"provider":"apiax"}`, "aa", `{"provider":"flexera","credential":"evertoken/own/credential"}`},
			map[string]string{"own": "",
				"aa": "credential is also the credential of connection own of provider apiax, and a credential can serve only one provider"}},
		{"an intruder's parameter is the owner's", []string{"own", `{"provider":"apiax","token_parameter":"/evertoken/tokens/own"}`, "aa", `{"provider":"apiax","token_parameter":"/evertoken/tokens/own"}`},
			map[string]string{"own": "", "aa": "token_parameter " + also + "own's token_parameter"}},
		{"an intruder stops no third one", []string{"own", `{"provider":"apiax"}`, "zz", `{"provider":"apiax","session":"evertoken/own/session","token":"t"}`, "other", `{"provider":"apiax","token":"t"}`},
			map[string]string{"own": "", "other": "", "zz": "session " + also + "own's session"}},
		{"a name in the default form of a connection that does not use it", []string{"own", `{"provider":"apiax","session":"s"}`, "a", `{"provider":"apiax","token":"evertoken/own/session"}`, "b", `{"provider":"apiax","token":"evertoken/own/session"}`},
			map[string]string{"own": "", "a": "token " + also + "b's token", "b": "token " + also + "a's token"}},
		{"one FlexNet token for two",
			[]string{"a",
				`{"provider":"flexnet","settings":{"base_url":"https://x.flexnetoperations.com/flexnet","token_name":"lambda"}}`,
				"b", `{"provider":"flexnet","settings":{"base_url":"https://X.flexnetoperations.com:443/flexnet/","token_name":"lambda"}}`,
				"c", `{"provider":"flexnet","settings":{"base_url":"https://y.flexnetoperations.com/flexnet","token_name":"lambda"}}`},
			map[string]string{"a": "settings.token_name " + also + "b's settings.token_name",
				"b": "settings.token_name " + also + "a's settings.token_name", "c": ""}},
		{"one FlexNet token by two paths",
			[]string{"a",
				`{"provider":"flexnet","settings":{"base_url":"https://x.flexnetoperations.com/flexnet","token_name":"lambda"}}`,
				"b", `{"provider":"flexnet","settings":{"base_url":"https://x.flexnetoperations.com","token_name":"LAMBDA"}}`},
			map[string]string{"a": "settings.token_name " + also + "b's settings.token_name",
				"b": "settings.token_name " + also + "a's settings.token_name"}},
		{"a credential with the name of a session that no connection declares", []string{"aa", `{"provider":"flexera","credential":"evertoken/own/session"}`},
			map[string]string{"aa": "credential has the name of a session of connection own"}},
		{"its own session as a credential", []string{"own", `{"provider":"oauth2","credential":"evertoken/own/session","session":"s"}`},
			map[string]string{"own": "credential has the name of a session of connection own"}},
		{"a token with the name of a credential", []string{"own", `{"provider":"apiax","token":"evertoken/own/credential","credential":"c"}`},
			map[string]string{"own": "token has the name of a credential of connection own"}},
		{"an intruder with the name of a shared credential",
			[]string{"acme",
				`{"provider":"apiax","token":"evertoken/acme/credential","credential":"c"}`,
				"a", `{"provider":"apiax","credential":"evertoken/acme/credential"}`, "b", `{"provider":"apiax","credential":"evertoken/acme/credential"}`},
			map[string]string{"a": "", "b": "", "acme": "token has the name of a credential of connection acme"}},
		{"a session whose ARN ends in six small letters",
			[]string{"a", `{"provider":"apiax","session":"crm/session"}`,
				"b", `{"provider":"flexera","credential":"arn:aws:secretsmanager:eu-central-1:123456789012:secret:crm/session-qwertz"}`},
			map[string]string{"a": "session " + also + "b's credential", "b": "credential " + also + "a's session"}},
		{"two names that end as ARNs do",
			[]string{"a",
				`{"provider":"apiax","token":"arn:aws:secretsmanager:eu-central-1:123456789012:secret:apps/t-github"}`,
				"b", `{"provider":"apiax","token":"arn:aws:secretsmanager:eu-central-1:123456789012:secret:apps/t-stripe"}`},
			map[string]string{"a": "", "b": ""}},
		{"one name in two accounts", []string{"a", `{"provider":"apiax","token":"` + arn("eu-central-1", "t") + `"}`, "b", `{"provider":"apiax","token":"` + strings.Replace(arn("eu-central-1", "t"), "123456789012", "210987654321", 1) + `"}`},
			map[string]string{"a": "", "b": ""}},
		{"a name that ends as an ARN does", []string{"a", `{"provider":"apiax","credential":"arn:aws:secretsmanager:eu-central-1:123456789012:secret:crm-secret"}`, "b", `{"provider":"flexera","credential":"crm"}`, "c", `{"provider":"apiax","token":"crm-tokens"}`},
			map[string]string{"a": "", "b": "", "c": ""}},
		{"that secret by two names", []string{"a", `{"provider":"apiax","credential":"arn:aws:secretsmanager:eu-central-1:123456789012:secret:crm-secret"}`, "b", `{"provider":"flexera","credential":"crm-secret"}`},
			map[string]string{
				"a": "credential is also the credential of connection b of provider flexera, and a credential can serve only one provider",
				"b": "credential is also the credential of connection a of provider apiax, and a credential can serve only one provider"}},
		{"a member twice", []string{"a", `{"provider":"apiax","session":"s1","session":"s2"}`, "b", `{"provider":"apiax","settings":{"extra":{"x":"1","x":"2"}}}`},
			map[string]string{"a": "session is declared twice", "b": "settings.extra.x is declared twice"}},
		{"connections twice in a parameter", []string{"all", `{"connections":{"b":{"provider":"apiax"}},"connections":{"c":{"provider":"apiax"}}}`},
			map[string]string{"all": "connections is declared twice"}},
		{"ARNs of this Region", []string{"a", `{"provider":"apiax","credential":"` + arn("eu-central-1", "x") + `"}`}, map[string]string{"a": ""}},
		{"credential of another Region", []string{"a", `{"provider":"apiax","credential":"` + arn("us-east-1", canary) + `"}`}, map[string]string{"a": "credential is in another Region"}},
		{"session of another Region", []string{"a", `{"provider":"apiax","session":"` + arn("us-east-1", canary) + `"}`}, map[string]string{"a": "session is in another Region"}},
		{"token of another Region", []string{"a", `{"provider":"apiax","token":"` + arn("us-east-1", canary) + `"}`}, map[string]string{"a": "token is in another Region"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, load(t, tt.parameters...)); diff != "" {
				t.Errorf("what is wrong (-want +got):\n%s", diff)
			}
		})
	}
}

func TestATokenParameterInTheConnectionsPathIsRefused(t *testing.T) {
	t.Parallel()
	elsewhere := connection.Rules{Path: "/evertoken/fleet/", ParameterPrefix: prefix}
	got := connection.Load([]connection.Parameter{{Name: "/evertoken/fleet/a",
		Value: `{"provider":"apiax","token_parameter":"/evertoken/fleet/` + canary + `"}`}}, elsewhere)
	if len(got) != 1 {
		t.Fatalf("%d entries", len(got))
	}
	checkError(t, got[0].Err, "a", "token_parameter", "is inside the path of the declared connections")
}

// A refusal names the other connection, both parameters and the command.
func TestAConflictNamesBothConnectionsAndTheirParameters(t *testing.T) {
	t.Parallel()
	parameters := []connection.Parameter{
		{Name: rules.Path + "own", Value: `{"provider":"apiax"}`},
		{Name: rules.Path + "team/all", Value: `{"connections":{"zz":{"provider":"flexera","credential":"evertoken/own/session"},"twice":{"provider":"apiax"}}}`},
		{Name: rules.Path + "twice", Value: `{"provider":"apiax"}`},
	}
	got := map[string]error{}
	for _, d := range connection.Load(parameters, rules) {
		got[d.Name] = d.Err
	}
	const put = "`aws ssm put-parameter --overwrite --type String --value file://connection.json --name "
	for name, want := range map[string]string{
		"zz": `connection zz: "credential" is also connection own's session (parameter /evertoken/connections/own): the secret is named after that connection, which therefore owns it. ` +
			"Name another one in the parameter /evertoken/connections/team/all: " + put + "/evertoken/connections/team/all`",
		"twice": "connection twice: is declared twice, in the parameters /evertoken/connections/team/all and /evertoken/connections/twice: Evertoken uses neither. " +
			"Delete one of the two: " + put + "/evertoken/connections/twice`",
	} {
		if got[name] == nil || got[name].Error() != want {
			t.Errorf("got  %v\nwant %s", got[name], want)
		}
	}
	if got["own"] != nil {
		t.Errorf("the owner is refused: %v", got["own"])
	}
}

// Where the account is known, a name means that account's secret alone.
func TestASecretOfAnotherAccountIsAnotherSecret(t *testing.T) {
	t.Parallel()
	const own, foreign = "123456789012", "210987654321"
	arn := func(account string) string {
		return "arn:aws:secretsmanager:eu-central-1:" + account + ":secret:crm-AbCdEf"
	}
	for _, tt := range []struct {
		account, id string
		conflict    bool
	}{{own, arn(own), true}, {own, arn(foreign), false}, {"", arn(foreign), true}} {
		r := rules
		r.Account = tt.account
		got := connection.Load([]connection.Parameter{
			{Name: rules.Path + "a", Value: `{"provider":"apiax","token":"crm"}`},
			{Name: rules.Path + "b", Value: `{"provider":"apiax","token":"` + tt.id + `"}`},
		}, r)
		if (got[0].Err != nil) != tt.conflict || (got[1].Err != nil) != tt.conflict {
			t.Errorf("account %q, %s: %v, %v", tt.account, tt.id, got[0].Err, got[1].Err)
		}
	}
	c := connection.Connection{Account: own}
	for id, want := range map[string]string{arn(own): "crm", arn(foreign): arn(foreign), "crm": "crm"} {
		if got := c.SecretName(id); got != want {
			t.Errorf("SecretName(%s) = %s, want %s", id, got, want)
		}
	}
	for id, same := range map[string]bool{
		"crm": true, "crm-AbCdEf": false, arn(own): true, "arn:aws:secretsmanager:eu-central-1:" + own + ":secret:crm": true, arn(foreign): false, "": false,
	} {
		if c.SameSecret(id, arn(own)) != same {
			t.Errorf("SameSecret(%s) is not %t", id, same)
		}
	}
}

func TestAConnectionNamesTheParameterThatDeclaresIt(t *testing.T) {
	t.Parallel()
	got := connection.Load([]connection.Parameter{{Name: "/evertoken/connections/team/all",
		Value: `{"connections":{"a":{"provider":"apiax"}}}`}}, rules)
	if len(got) != 1 || got[0].Parameter != "/evertoken/connections/team/all" {
		t.Errorf("entries %+v", got)
	}
}

func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		`{"provider":"apiax","min_remaining":"10m"}`, `{"connections":{"a":{"provider":"apiax"},"a":{}}}`, `{"connections":{"":{}}}`,
		`{"provider":"x","token":"arn:aws:secretsmanager:us-east-1:123456789012:secret:a-AbCdEf"}`, `{"provider":7}`, `[`, `{"min_remaining":"1d-1h"}`,
	} {
		f.Add("a", seed)
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		// The fuzzer puts this value where an operator may put a secret by mistake: no
		// error may repeat it.
		secret := "SECRET" + strings.Repeat("9", 20)
		astray := fmt.Sprintf(`{"provider":%q,"credential":[%q],"format":%q}`, secret, secret, secret)
		got := connection.Load([]connection.Parameter{{Name: rules.Path + name, Value: value},
			{Name: rules.Path + "astray", Value: astray}}, rules)
		seen := map[string]bool{}
		for _, d := range got {
			if seen[d.Name] {
				t.Fatalf("two entries under %q", d.Name)
			}
			seen[d.Name] = true
			if d.Err == nil && !connection.ValidName(d.Name) {
				t.Fatalf("%q was accepted as a connection's name", d.Name)
			}
			if d.Err == nil &&
				(d.Connection.Provider == "" || d.Connection.MinRemaining < 0 ||
					(d.Connection.Token == "") == (d.Connection.TokenParameter == "")) {
				t.Fatalf("an incomplete connection was accepted: %+v", d.Connection)
			}
			if d.Err != nil && strings.Contains(d.Err.Error(), secret) && !strings.Contains(value+name, secret) {
				t.Fatalf("the error holds a value: %v", d.Err)
			}
			if strings.ContainsAny(d.Name, "\n\x1b") {
				t.Fatalf("an entry's name would break a log line: %q", d.Name)
			}
		}
		if !seen["astray"] {
			t.Fatal("one parameter hid another")
		}
	})
}

// TestADeclarationInASecureStringIsRefused: an encrypted value is not reported as bad
// JSON.
func TestADeclarationInASecureStringIsRefused(t *testing.T) {
	t.Parallel()
	const path = "/evertoken/connections/"
	declared := connection.Load([]connection.Parameter{{Name: path + "a", Value: "AQICAHh",
		Secure: true}}, connection.Rules{Path: path, ParameterPrefix: "/evertoken/"})
	want := "connection a: is in a SecureString: a connection holds no secret, and Evertoken reads it from a String only. AWS cannot change " +
		"a parameter's type, so delete the parameter and create it again: `aws ssm delete-parameter --name /evertoken/connections/a`, then `aws ssm put-parameter "
	if len(declared) != 1 || declared[0].Err == nil || !strings.HasPrefix(declared[0].Err.Error(), want) {
		t.Errorf("declared %+v", declared)
	}
}
