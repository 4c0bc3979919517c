// add: the sum, clipped at white: s = min(1, s + i).
// s stack, i frame, white: level units; n stacked frames, this one included; seen: frames that cover the
// pixel, this one included, 0 where it does not. Source: the table of rules in src/rules/mod.rs.
fn rule_add(s: f32, i: f32, seen: f32, n: f32, white: f32) -> f32 {
    return min(white, s + i);
}
