// addmean: the mean of stack and frame: i > 0 ? (s + i) / 2 : s.
// s stack, i frame, white: level units; n stacked frames, this one included; seen: frames that cover the
// pixel, this one included, 0 where it does not. Source: the table of rules in src/rules/mod.rs.
fn rule_addmean(s: f32, i: f32, seen: f32, n: f32, white: f32) -> f32 {
    return select(s, (s + i) * 0.5, i > 0.0);
}
