// Package session keeps the session secret of one connection, so that no refresh
// token is sent twice and none that was received is lost, whoever else is at
// work on it and whenever the process ends.
//
// What is in force is told by the secret's versions and by labels on them, and
// by nothing else. [StageOf] reads them into one of a few stages, [Next] says
// what each leads to, and the steps of [Keeper] do it. Nothing else in Evertoken
// looks at these labels.
//
//	stage       what AWS shows                                        next step
//	empty       no AWSCURRENT                                         open
//	moved       AWSCURRENT is not the version that was read           read again
//	unlabelled  EVERTOKEN_EXCHANGE on no version                      place, then look again; where a session is being opened: wait
//	idle        EVERTOKEN_EXCHANGE on another version                 claim
//	lost        as idle, and EVERTOKEN_SENT on AWSCURRENT             claim, recover
//	busy        EVERTOKEN_EXCHANGE on AWSCURRENT                      note and wait; in an emergency, once noted a minute ago: pass by
//	orphaned    as busy, and EVERTOKEN_SEEN older than a run can last take over, recover
//
// EVERTOKEN_EXCHANGE is only ever moved by naming the version that has it, so
// that of two runs AWS refuses one. A claim moves it onto AWSCURRENT; a stored
// exchange leaves it behind there, on what is then an older version. To take a
// claim over is to take its note EVERTOKEN_SEEN away, by name, so that of two
// runs again one succeeds, and a run that was shown an old state has none.
// After an answer was lost the label goes to a version that no earlier state
// shows it on: whoever was shown one cannot claim.
package session
