package oauth

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode"

	"evertoken/internal/lazyregexp"
)

// said is what a body says about an error, anywhere in it.
type said struct {
	// codes are short words as received, the most specific first.
	codes []string
	// texts are sentences, in the form of [plain]. They are matched but never shown,
	// because they may repeat what was sent.
	texts []string
	// status is an HTTP status of 400 or more that the body contains, 0 if none.
	status int
	// temporary is set if the error itself says that it is temporary.
	temporary bool
	// denies is set if the body itself says that it is not a success.
	denies bool
	// oddCode is set if the body has a numeric code that does not mean success: TikTok and
	// Lark report this way, with status 200, that there is no token.
	oddCode bool
	// form describes the body if it has no code.
	form string
	// retryAfter is how long the body asks to wait, 0 if it does not.
	retryAfter time.Duration

	ranked []rankedCode
}

type rankedCode struct {
	rank int
	code string
}

const (
	formHTML = "the answer is an HTML page"
	formMute = "the answer names no error code"
)

// maxPageText limits how many bytes of a page or of plain text are searched for words.
const maxPageText = 4 << 10

// said collects what the body says about an error.
func (b body) said() said {
	var s said
	switch b.form {
	case formObject, formBroken:
		s.object(b.members, 0, false)
	case formPage:
		s.form = formHTML
		s.texts = []string{plain(tags().ReplaceAllString(b.text[:min(len(b.text), maxPageText)], " "))}
	case formText:
		var list []json.RawMessage
		if json.Unmarshal([]byte(b.text), &list) == nil { // a list of errors: Salesforce's APIs
			s.value(list, 0)
		} else {
			s.texts = []string{plain(b.text[:min(len(b.text), maxPageText)])}
		}
	}
	slices.SortStableFunc(s.ranked, func(a, b rankedCode) int { return cmp.Compare(a.rank, b.rank) })
	for _, r := range s.ranked {
		s.codes = append(s.codes, r.code)
	}
	if s.form == "" && len(s.codes) == 0 {
		s.form = formMute
	}
	return s
}

var tags = lazyregexp.New(`(?s)<(script|style)\b.*?</(script|style)>|<[^>]*>`)

// codeNames are the members, folded, whose value is a code, with how much each
// tells. RFC 6749 section 5.2 has error; Goa (Flexera's OpenAPI files) has
// name; Okta errorCode
// (https://developer.okta.com/docs/reference/error-codes/); VMware
// minorErrorCode; HubSpot status and category; Apigee ErrorCode and
// fault.detail.errorcode; Zoom reason; Google error.status; Entra suberror.
var codeNames = map[string]int{
	"error": 1, "errorcode": 2, "errcode": 2, "minorerrorcode": 2, "errortype": 3, "errorid": 3,
	"code": 3, "type": 4, "name": 4, "status": 5, "category": 5, "reason": 5, "errorreason": 5,
	"suberror": 6, "errorsubcode": 6, "faultcode": 6, "exception": 6, "result": 7, "title": 8,
	"key": 8, "id": 9,
}

// textNames are the members, folded, whose value is a sentence.
var textNames = map[string]bool{
	"errordescription": true, "description": true, "message": true, "errormessage": true,
	"errmsg": true, "errormsg": true, "msg": true, "detail": true, "details": true,
	"errordetail": true, "errordetails": true, "errorsummary": true, "summary": true,
	"hint": true, "faultstring": true, "statusmessage": true, "statustext": true,
	"developermessage": true, "usermessage": true, "cause": true, "resource": true,
	"field": true, "parameter": true, "param": true, "property": true, "desc": true,
	"debugmessage": true, "errorcauses": true, "moreinfo": true, "userdescription": true,
	"longmessage": true, "errors": true, "reasonphrase": true,
}

// holders are the members, folded, whose value is an error or an object that contains one.
var holders = map[string]bool{
	"error": true, "errors": true, "fault": true, "faults": true, "detail": true,
	"details": true, "data": true, "body": true, "response": true, "result": true, "meta": true,
	"exception": true, "errorcauses": true, "innererror": true, "envelope": true,
	"oautherror": true, "status": true, "oauth": true,
}

const maxDepth = 4

// object collects codes and texts from one object. within is set inside an error.
func (s *said) object(m members, depth int, within bool) {
	if depth > maxDepth {
		return
	}
	var sentence []string
	for _, one := range m {
		name := fold(one.name)
		s.flags(name, one.value)
		if value, ok := text(one.value); ok {
			if value == "" {
				continue
			}
			rank, isCode := codeNames[name]
			switch {
			case isCode && (rank < 8 || within):
				s.code(name, rank, value)
			case !textNames[name]:
				continue
			}
			if head := headRE().FindStringSubmatch(value); head != nil && !isCode {
				if w, known := codesByWord[word(head[1]+head[2])]; known { // a SOAP fault's faultstring
					s.ranked = append(s.ranked, rankedCode{9, w.code})
				}
			}
			if p := plain(value); !saysNothing(p) {
				s.texts = append(s.texts, p)
				sentence = append(sentence, value)
			}
			continue
		}
		if holders[name] {
			inner := strings.HasPrefix(name, "error") || name == "fault"
			if o := object(one.value); o != nil {
				s.denies = s.denies || inner && len(o) > 0
				s.object(o, depth+1, within || inner)
			} else if l := list(one.value); len(l) > 0 {
				s.denies = s.denies || inner
				s.value(l, depth+1)
			}
		}
	}
	if within && len(sentence) > 1 { // Strava: RefreshToken refresh_token invalid
		s.texts = append(s.texts, plain(strings.Join(sentence, " ")))
	}
}

// saysNothing reports whether a text is one of the standard sentences of RFC 6749 section
// 5.2, which servers send whatever they mean: Doorkeeper and League sent one for an expired
// refresh token (doorkeeper-gem/doorkeeper#510).
func saysNothing(text string) bool { return strings.HasSuffix(text, "is otherwise malformed") }

// value collects codes and texts from a list of errors.
func (s *said) value(l []json.RawMessage, depth int) {
	for i, raw := range l[:min(len(l), 8)] {
		if value, ok := text(raw); ok && value != "" {
			s.code("errors", 10+i, value)
			s.texts = append(s.texts, plain(value))
			continue
		}
		s.object(object(raw), depth, true)
	}
}

// nothing are values of an error member that mean "no error".
var nothing = map[string]bool{
	"none": true, "null": true, "nil": true, "ok": true, "success": true, "false": true,
	"0": true, "no error": true, "": true,
}

// code reads a member's text as a code, or the code at its beginning: RFC 6749 section 5.2
// requires a single word, but some servers append the description.
func (s *said) code(name string, rank int, value string) {
	lower := plain(value)
	if nothing[lower] || strings.Trim(lower, "0") == "" {
		return
	}
	switch name {
	case "error", "errorcode", "errcode", "minorerrorcode", "suberror":
		s.denies = true
	case "status", "result":
		s.denies = s.denies || failed[lower]
		if failed[lower] || lower == "approved" {
			return
		}
	}
	if head := headRE().FindStringSubmatch(value); head != nil {
		value = head[1] + head[2]
	}
	s.ranked = append(s.ranked, rankedCode{rank, value})
}

// headRE matches a code of several words followed by text.
var headRE = lazyregexp.New(
	`^([A-Za-z]+(?:[_.-][A-Za-z]+)+)\s*[:;,(]|^([A-Za-z]+(?:_[A-Za-z]+)+)\s`)

var failed = map[string]bool{"error": true, "failure": true, "failed": true, "fail": true,
	"ko": true, "nok": true}

// flags reads numbers and booleans.
func (s *said) flags(name string, value json.RawMessage) {
	var yes bool
	isBool := json.Unmarshal(value, &yes) == nil && string(value) != "null"
	n, isNumber := number(value)
	switch name {
	case "ok", "success", "succeeded", "issuccess":
		s.denies = s.denies || isBool && !yes
	case "error", "iserror", "haserror":
		s.denies = s.denies || isBool && yes || isNumber && n != 0
		s.httpStatus(n, isNumber)
	case "temporary", "timeout", "retryable", "istransient":
		s.temporary = s.temporary || isBool && yes
	case "errcode", "errorcode":
		s.denies = s.denies || isNumber && n != 0
		s.httpStatus(n, isNumber)
	case "retryafter", "retryafterseconds", "retryafterinseconds":
		if isNumber && n > 0 {
			s.retryAfter = time.Duration(min(n, maxRetryAfter.Seconds()) * float64(time.Second))
		}
	case "status", "statuscode", "code", "httpstatus", "httpcode", "httpstatuscode":
		s.httpStatus(n, isNumber)
		s.oddCode = s.oddCode || isNumber && n != 0 && (n < 200 || n > 299)
	}
}

// challenge reads the error in the header WWW-Authenticate (RFC 6750 section 3), which some
// servers send without a body.
func (s *said) challenge(headers []string) {
	for _, h := range headers {
		for _, m := range challengeRE().FindAllStringSubmatch(h, 4) {
			if strings.EqualFold(m[1], "error") {
				s.codes, s.form = append(s.codes, m[2]), ""
			}
			s.texts = append(s.texts, plain(m[2]))
		}
	}
}

var challengeRE = lazyregexp.New(`(?i)\b(error|error_description)="([^"]{1,200})"`)

func (s *said) httpStatus(n float64, ok bool) {
	if ok && n >= 400 && n <= 599 && s.status == 0 {
		s.status = int(n)
	}
}

// plain normalizes a text for matching: lower-case letters and digits, single spaces
// between words, and RefreshToken split into two words.
func plain(s string) string {
	var b strings.Builder
	var last rune
	for _, r := range s {
		switch {
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			if unicode.IsUpper(r) && unicode.IsLower(last) {
				b.WriteByte(' ')
			}
			b.WriteRune(unicode.ToLower(r))
		case b.Len() > 0 && last != ' ':
			b.WriteByte(' ')
			r = ' '
		}
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			r = ' '
		}
		last = r
	}
	return strings.TrimSpace(b.String())
}

// word normalizes a code for matching: invalid_grant, INVALID_GRANT, "Invalid Grant" and
// invalidGrant are equal.
func word(code string) string { return strings.ReplaceAll(plain(code), " ", "_") }
