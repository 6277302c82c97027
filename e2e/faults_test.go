package e2e

import (
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"evertoken/internal/credential"
	fakeaws "evertoken/internal/fake/aws"
	fakeidp "evertoken/internal/fake/idp"
	"evertoken/internal/redact"
)

var awsFaultKinds = map[string]fakeaws.FaultKind{
	"refuse": fakeaws.Refuse, "fail-after": fakeaws.FailAfter, "drop-before": fakeaws.DropBefore, "drop-after": fakeaws.DropAfter, "stale": fakeaws.Stale,
}

var idpFaultKinds = map[string]fakeidp.FaultKind{
	"answer": fakeidp.Answer, "drop-before": fakeidp.DropBefore, "drop-after": fakeidp.DropAfter, "answer-after": fakeidp.AnswerAfter,
	"redirect": fakeidp.Redirect, "html": fakeidp.HTML, "huge": fakeidp.Huge, "hang": fakeidp.Hang, "truncate": fakeidp.Truncate, "cut-off": fakeidp.CutOff,
}

func cmdFault(ts *testscript.TestScript, neg bool, args []string) {
	h := in(ts, neg, false, args, 1, "fault idp|aws KIND [KEY=VALUE...], or fault clear")
	if args[0] == "clear" {
		h.AWS.ClearFaults()
		h.IDP.ClearFaults()
		return
	}
	if len(args) < 2 {
		ts.Fatalf("fault %s KIND?", args[0])
	}
	values := map[string]string{}
	for _, arg := range args[2:] {
		key, value, _ := strings.Cut(arg, "=")
		values[key] = value
	}
	take := func(key string) string {
		v := values[key]
		delete(values, key)
		return v
	}
	number := func(key string) int {
		v := take(key)
		if v == "" {
			return 0
		}
		n, err := strconv.Atoi(v)
		ts.Check(err)
		return n
	}
	if args[0] == "aws" {
		kind, ok := awsFaultKinds[args[1]]
		if !ok {
			ts.Fatalf("no kind of fault %q", args[1])
		}
		h.AWS.Inject(&fakeaws.Fault{Kind: kind, Operation: take("operation"),
			Resource: take("resource"), Code: take("code"), Skip: number("skip"), Times: number("times")})
	} else {
		kind, ok := idpFaultKinds[args[1]]
		if !ok {
			ts.Fatalf("no kind of fault %q", args[1])
		}
		f := &fakeidp.Fault{Kind: kind, Provider: take("provider"), Grant: take("grant"),
			Status: number("status"), Skip: number("skip"), Times: number("times")}
		if wait := take("retry-after"); wait != "" {
			f.Header = http.Header{"Retry-After": {wait}}
		}
		if file := take("body"); file != "" {
			f.Body = []byte(ts.ReadFile(file))
		}
		h.IDP.Inject(f)
	}
	if len(values) > 0 {
		ts.Fatalf("unknown words: %v", values)
	}
}

func cmdOption(ts *testscript.TestScript, neg bool, args []string) {
	h := in(ts, neg, false, args, 2, "option PROVIDER FIELD=VALUE...")
	for _, arg := range args[1:] {
		field, value, _ := strings.Cut(arg, "=")
		var err error
		switch args[0] {
		case "apiax":
			h.IDP.Apiax().Configure(func(o *fakeidp.ApiaxOptions) { err = set(o, field, value) })
		case "flexera":
			h.IDP.Flexera().Configure(func(o *fakeidp.FlexeraOptions) { err = set(o, field, value) })
		case "flexnet":
			h.IDP.FlexNet().Configure(func(o *fakeidp.FlexNetOptions) { err = set(o, field, value) })
		case "oauth2":
			h.IDP.OAuth2().Configure(func(o *fakeidp.OAuth2Options) { err = set(o, field, value) })
		case "sharetribe":
			h.IDP.Sharetribe().Configure(func(o *fakeidp.SharetribeOptions) { err = set(o, field, value) })
		default:
			ts.Fatalf("no provider %q", args[0])
		}
		ts.Check(err)
	}
}

// set changes one field of an options struct, read as its type is.
func set(options any, field, value string) error {
	f := reflect.ValueOf(options).Elem().FieldByName(field)
	if !f.IsValid() {
		return fmt.Errorf("no option %q", field)
	}
	switch f.Interface().(type) {
	case time.Duration:
		d, err := time.ParseDuration(value)
		if err != nil {
			return err
		}
		f.SetInt(int64(d))
	case bool:
		b, err := strconv.ParseBool(value)
		if err != nil {
			return err
		}
		f.SetBool(b)
	case string:
		f.SetString(value)
	default:
		n, err := strconv.Atoi(value)
		if err != nil {
			return err
		}
		f.SetInt(int64(n))
	}
	return nil
}

// cmdProvider changes the state of a connection at its provider.
func cmdProvider(ts *testscript.TestScript, neg bool, args []string) {
	h := in(ts, neg, false, args, 2, "provider revoke|end-sessions|disable|enable|password NAME")
	name := args[1]
	switch args[0] {
	case "revoke": // the current refresh token, of the generic server or Sharetribe
		session, ok := h.Session(name)
		if !ok {
			c, err := credential.Parse(redact.New(h.current("evertoken/" + name + "/credential")))
			ts.Check(err)
			session.RefreshToken = c.Get(credential.RefreshToken)
		}
		h.IDP.OAuth2().RevokeRefreshToken(session.RefreshToken.Reveal())
		h.IDP.Sharetribe().RevokeRefreshToken(session.RefreshToken.Reveal())
	case "end-sessions":
		h.IDP.Apiax().EndSessions(name)
	case "disable", "enable":
		h.IDP.Apiax().SetDisabled(name, args[0] == "disable")
	case "password": // the user changes it, and the operator stores it
		password := h.IDP.Apiax().SetPassword(name, "")
		ts.Check(h.put("evertoken/"+name+"/credential",
			fmt.Sprintf(`{"username":%q,"password":%s}`, name, quoted(password))))
	default:
		ts.Fatalf("provider %s?", args[0])
	}
}
