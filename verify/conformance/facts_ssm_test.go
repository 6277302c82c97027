package conformance

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

// parameterPut writes a parameter in a tier.
func (w *world) parameterPut(ctx context.Context, name, value string, kind ssmtypes.ParameterType,
	tier ssmtypes.ParameterTier, overwrite bool) (*ssm.PutParameterOutput, error) {
	return w.ssm.PutParameter(ctx,
		&ssm.PutParameterInput{Name: &name, Value: &value, Type: kind, Tier: tier,
			Overwrite: &overwrite})
}

// parameterFacts are about Parameter Store.
var parameterFacts = []fact{
	{
		name: "a SecureString is read in clear only on demand", source: modelSSM + "GetParameter.WithDecryption",
		see: func(ctx context.Context, w *world) string {
			if _, err := w.parameterPut(ctx, w.parameter, "clear", ssmtypes.ParameterTypeSecureString, ssmtypes.ParameterTierStandard, true); err != nil {
				return unprepared(err)
			}
			text := ""
			for _, decrypt := range []bool{true, false} {
				out, err := w.ssm.GetParameter(ctx, &ssm.GetParameterInput{Name: &w.parameter, WithDecryption: &decrypt})
				if err != nil {
					return code(err)
				}
				text += fmt.Sprint(*out.Parameter.Value == "clear", " ")
			}
			return text
		},
		want: "true false ", real: true,
	},
	{
		name: "a parameter that is not there", source: modelSSM + "GetParameter, errors",
		see: func(ctx context.Context, w *world) string {
			_, err := w.ssm.GetParameter(ctx, &ssm.GetParameterInput{Name: &w.parameter})
			return code(err)
		},
		want: "ParameterNotFound", real: true,
	},
	{
		name: "deleting a parameter that is not there", source: modelSSM + "DeleteParameter, errors",
		see: func(ctx context.Context, w *world) string {
			_, err := w.ssm.DeleteParameter(ctx, &ssm.DeleteParameterInput{Name: &w.parameter})
			return code(err)
		},
		want: "ParameterNotFound",
	},
	{
		name: "a parameter is overwritten only on demand", source: modelSSM + "PutParameter.Overwrite",
		see: func(ctx context.Context, w *world) string {
			put := func(overwrite bool) string {
				out, err := w.parameterPut(ctx, w.parameter, "value",
					ssmtypes.ParameterTypeSecureString, ssmtypes.ParameterTierIntelligentTiering, overwrite)
				if err != nil {
					return code(err)
				}
				return fmt.Sprint("version ", out.Version)
			}
			return strings.Join([]string{put(false), put(false), put(true)}, ", ")
		},
		want: "version 1, ParameterAlreadyExists, version 2", real: true,
	},
	{
		name: "a standard parameter holds 4 KiB, an advanced one 8", source: modelSSM + "PutParameter.Tier",
		see: func(ctx context.Context, w *world) string {
			text := ""
			for _, try := range []struct {
				tier ssmtypes.ParameterTier
				size int
			}{{ssmtypes.ParameterTierStandard, 4097}, {ssmtypes.ParameterTierIntelligentTiering,
				4096}, {ssmtypes.ParameterTierIntelligentTiering, 4097}, {ssmtypes.ParameterTierIntelligentTiering, 8193}} {
				out, err := w.parameterPut(ctx, w.parameter, strings.Repeat("x", try.size),
					ssmtypes.ParameterTypeSecureString, try.tier, true)
				if err != nil {
					text += "refused "
					continue
				}
				text += string(out.Tier) + " "
			}
			return text
		},
		want: "refused Standard Advanced refused ",
	},
	{
		name: "unknown names of a batch are listed", source: modelSSM + "GetParameters.InvalidParameters",
		see: func(ctx context.Context, w *world) string {
			if _, err := w.parameterPut(ctx, w.parameter, "value", ssmtypes.ParameterTypeString, "", true); err != nil {
				return unprepared(err)
			}
			out, err := w.ssm.GetParameters(ctx,
				&ssm.GetParametersInput{Names: []string{w.parameter + "/none", w.parameter}})
			if err != nil {
				return code(err)
			}
			return fmt.Sprint(len(out.Parameters), " and ",
				strings.ReplaceAll(strings.Join(out.InvalidParameters, " "), w.parameter, "NAME"))
		},
		want: "1 and NAME/none", real: true,
	},
	{
		name: "a batch takes at most 10 parameters", source: modelSSM + "ParameterNameList",
		see: func(ctx context.Context, w *world) string {
			_, err := w.ssm.GetParameters(ctx, &ssm.GetParametersInput{Names: numbered(w.parameter, 11)})
			return fmt.Sprint(err == nil)
		},
		want: "false",
	},
	{
		name: "a path is read in pages of at most 10, in depth", source: modelSSM + "GetParametersByPath",
		see: func(ctx context.Context, w *world) string {
			for n := range 12 {
				if _, err := w.parameterPut(ctx, fmt.Sprintf("%s/deep/%02d", w.parameter, n), "value", ssmtypes.ParameterTypeString, "", true); err != nil {
					return unprepared(err)
				}
			}
			in := &ssm.GetParametersByPathInput{Path: &w.parameter, Recursive: aws.Bool(true),
				MaxResults: aws.Int32(10)}
			for total, most := 0, 0; ; {
				page, err := w.ssm.GetParametersByPath(ctx, in)
				if err != nil {
					return code(err)
				}
				total, most = total+len(page.Parameters), max(most, len(page.Parameters))
				if page.NextToken == nil {
					return fmt.Sprint(total, ", more than 10 at once: ", most > 10)
				}
				in.NextToken = page.NextToken
			}
		},
		want: "12, more than 10 at once: false",
	},
	{
		name: "a page has at most 10 parameters", source: modelSSM + "GetParametersByPathMaxResults",
		see: func(ctx context.Context, w *world) string {
			_, err := w.ssm.GetParametersByPath(ctx,
				&ssm.GetParametersByPathInput{Path: &w.parameter, MaxResults: aws.Int32(11)})
			return fmt.Sprint(err == nil)
		},
		want: "false",
	},
}
