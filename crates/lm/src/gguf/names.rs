//! What the tensors of a GGUF file are called elsewhere.

/// Names in a GGUF file and in a checkpoint of Hugging Face.
const PARTS: [(&str, &str); 13] = [
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
    ("post_attention_norm", "post_attention_layernorm"),
    ("post_ffw_norm", "post_feedforward_layernorm"),
];

/// The name of a tensor in a checkpoint of Hugging Face. One of a layer that is not known keeps its own behind that of
/// the layer, so that it is missed by nobody who looks for what is too much. `before_mlp` is what the norm before the
/// feed-forward layer is called in this family.
pub(super) fn hugging_face(name: &str, before_mlp: &str) -> String {
    match name {
        "token_embd.weight" => return "model.embed_tokens.weight".into(),
        "output_norm.weight" => return "model.norm.weight".into(),
        "output.weight" => return "lm_head.weight".into(),
        _ => {}
    }
    let Some((layer, rest)) = name.strip_prefix("blk.").and_then(|rest| rest.split_once('.')) else {
        return name.into();
    };
    let known = rest.split_once('.').and_then(|(part, end)| {
        let (_, ours) = PARTS.iter().find(|(theirs, _)| *theirs == part)?;
        let ours = if part == "ffn_norm" { before_mlp } else { ours };
        Some(format!("{ours}.{end}"))
    });
    format!("model.layers.{layer}.{}", known.unwrap_or_else(|| rest.into()))
}

/// The name of a number format that is not read.
pub(super) fn format(number: u32) -> String {
    const OTHERS: [(u32, &str); 18] = [
        (9, "Q8_1"),
        (15, "Q8_K"),
        (16, "IQ2_XXS"),
        (17, "IQ2_XS"),
        (18, "IQ3_XXS"),
        (19, "IQ1_S"),
        (20, "IQ4_NL"),
        (21, "IQ3_S"),
        (22, "IQ2_S"),
        (23, "IQ4_XS"),
        (24, "I8"),
        (25, "I16"),
        (26, "I32"),
        (28, "F64"),
        (29, "IQ1_M"),
        (34, "TQ1_0"),
        (35, "TQ2_0"),
        (39, "MXFP4"),
    ];
    let known = OTHERS.iter().find(|(known, _)| *known == number);
    known.map_or_else(|| format!("number {number}"), |(_, name)| (*name).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_get_the_names_of_hugging_face() {
        for (theirs, ours) in [
            ("output.weight", "lm_head.weight"),
            ("blk.12.attn_q.bias", "model.layers.12.self_attn.q_proj.bias"),
            ("blk.0.ffn_norm.weight", "model.layers.0.post_attention_layernorm.weight"),
            ("blk.0.ffn_gate_exps.weight", "model.layers.0.ffn_gate_exps.weight"),
            ("rope_freqs.weight", "rope_freqs.weight"),
        ] {
            assert_eq!(hugging_face(theirs, "post_attention_layernorm"), ours);
        }
        let ours = hugging_face("blk.3.ffn_norm.weight", "pre_feedforward_layernorm");
        assert_eq!(ours, "model.layers.3.pre_feedforward_layernorm.weight");
    }
}
