package fakeaws

import (
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// Input structs state the service model's constraints as field tags, checked
// here for every request:
//
//	required:"true"    must be present
//	size:"32,64"       characters of a string, bytes of a blob, elements of a list
//	each:"1,256"       characters of every string of a list
//	between:"1,100"    value of a number
//	pattern:"^a+$"     regular expression of a string
//	oneOf:"asc|desc"   values of a string
//
// A violation is a ValidationException that names the member and the constraint
// and never quotes the value.

// validate checks the fields of the struct v, whose members are named below path.
func validate(v reflect.Value, path string) error {
	t := v.Type()
	for i := range t.NumField() {
		field, value := t.Field(i), v.Field(i)
		if !field.IsExported() && !field.Anonymous {
			continue
		}
		if field.Anonymous {
			if err := validate(value, path); err != nil {
				return err
			}
			continue
		}
		name := path + strings.ToLower(field.Name[:1]) + field.Name[1:]
		if value.IsZero() {
			if field.Tag.Get("required") != "" {
				return violation(name, "Member must not be null")
			}
			continue
		}
		if err := validateField(field.Tag, value, name); err != nil {
			return err
		}
	}
	return nil
}

func validateField(tag reflect.StructTag, value reflect.Value, name string) error {
	if value.Kind() == reflect.Pointer {
		value = value.Elem()
	}
	switch value.Kind() {
	case reflect.String:
		return validateString(tag, value.String(), name)
	case reflect.Int64:
		if low, high, ok := bounds(tag, "between"); ok && (value.Int() < low || value.Int() > high) {
			return violation(name, "Member must have value between "+tag.Get("between"))
		}
	case reflect.Struct:
		return validate(value, name+".")
	case reflect.Slice:
		if err := validateSize(tag, "size", value.Len(), name); err != nil {
			return err
		}
		for i := range value.Len() {
			element, name := value.Index(i), name+"."+strconv.Itoa(i+1)+".member"
			switch element.Kind() {
			case reflect.Struct:
				if err := validate(element, name+"."); err != nil {
					return err
				}
			case reflect.String:
				if err := validateSize(tag, "each", utf8.RuneCountInString(element.String()), name); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func validateString(tag reflect.StructTag, value, name string) error {
	if err := validateSize(tag, "size", utf8.RuneCountInString(value), name); err != nil {
		return err
	}
	if pattern := tag.Get("pattern"); pattern != "" && !compiled(pattern).MatchString(value) {
		return violation(name, "Member must satisfy regular expression pattern: "+pattern)
	}
	if set := tag.Get("oneOf"); set != "" && !strings.Contains("|"+set+"|", "|"+value+"|") {
		return violation(name, "Member must satisfy enum value set: ["+strings.ReplaceAll(set, "|", ", ")+"]")
	}
	return nil
}

func validateSize(tag reflect.StructTag, key string, size int, name string) error {
	low, high, ok := bounds(tag, key)
	switch {
	case ok && int64(size) < low:
		return violation(name, "Member must have length greater than or equal to "+strconv.FormatInt(low, 10))
	case ok && int64(size) > high:
		return violation(name, "Member must have length less than or equal to "+strconv.FormatInt(high, 10))
	}
	return nil
}

func violation(name, constraint string) error {
	return refuse("ValidationException",
		"1 validation error detected: Value at '%s' failed to satisfy constraint: %s", name, constraint)
}

func bounds(tag reflect.StructTag, key string) (low, high int64, ok bool) {
	first, second, ok := strings.Cut(tag.Get(key), ",")
	if !ok {
		return 0, 0, false
	}
	low, errLow := strconv.ParseInt(first, 10, 64)
	high, errHigh := strconv.ParseInt(second, 10, 64)
	if errLow != nil || errHigh != nil {
		panic("fakeaws: malformed constraint " + key)
	}
	return low, high, true
}

var patterns sync.Map // :: pattern → *regexp.Regexp

func compiled(pattern string) *regexp.Regexp {
	if known, ok := patterns.Load(pattern); ok {
		return known.(*regexp.Regexp)
	}
	expression := regexp.MustCompile(pattern)
	patterns.Store(pattern, expression)
	return expression
}
