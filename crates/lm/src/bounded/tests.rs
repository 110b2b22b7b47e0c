use super::*;
use crate::{ChatTemplate, LmError};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn rendered(source: &str) -> Result<String, LmError> {
    let templates = BTreeMap::from([("default".to_string(), source.to_string())]);
    let template = ChatTemplate::new(templates, BTreeMap::new(), "t".into())?;
    let message = BTreeMap::from([("role", "user"), ("content", "hello")]);
    template.render(&[message], &[] as &[Value], true, &[])
}

#[test]
fn what_honest_templates_do_is_the_same() {
    for (source, text) in [
        ("{%- for m in messages %}\n<{{ m.role }}>{{ m['content'] | trim }}\n{% endfor %}x", "<user>hello\nx"),
        (
            "{% set n = namespace(x='') %}{% for i in range(3) %}{% set n.x = n.x ~ i ~ ',' %}{% endfor %}{{ n.x }}",
            "0,1,2,",
        ),
        (
            "{% macro m(a, b='-') %}{{ a }}{{ b }}{{ caller() if caller }}{% endmacro %}{{ m(1) }}{% call m(2, b='+') %}c{% endcall %}",
            "1-2+c",
        ),
        (
            "{% set a, b = 1, 2 %}{{ [a, b] + [3] }}{{ {'k': (1,)} }}{{ -a ** 2 }}{{ 'x' if a > 2 else 'y' }}",
            "[1, 2, 3]{'k': (1,)}1y",
        ),
        (
            "{% set t %}a{{ 1 }}{% endset %}{{ t | upper }}{% filter upper %}b{% endfilter %}{{ 'a-b'.split('-') | join('+') }}",
            "A1Ba+b",
        ),
        (
            "{{ [[1], [2]] | tojson }}{% for k, v in {'a': 1}.items() %}{{ k }}{{ v }}{% endfor %}{{ 'ab' * 2 }}",
            "[[1], [2]]a1abab",
        ),
        (
            "{% for x in [1, [2, [3]]] recursive %}{% if x is iterable %}{{ loop(x) }}{% else %}{{ x }}{% endif %}{% endfor %}",
            "123",
        ),
        ("{% raw %}{{ x }}{% endraw %}{# {{ - - - }} #}{{ '{{' }}", "{{ x }}{{"),
        (
            "{% if messages[0]['role'] == 'user' and not false %}u{% elif true %}v{% endif %}{{ messages | length }}{{ messages[1:] }}",
            "u1[]",
        ),
        ("{% with a = 1 %}{{ a }}{% endwith %}{% block b %}B{% endblock %}{% do messages %}", ""),
    ] {
        if text.is_empty() {
            assert!(rendered(source).is_err(), "a call is expected");
            continue;
        }
        assert_eq!(rendered(source).map_err(|error| error.to_string()), Ok(text.to_string()), "{source}");
    }
}

#[test]
fn what_would_grow_without_end_is_refused() {
    let doubled = "{% set x = x ~ x %}".repeat(60);
    for source in [
        "{% for a in range(9999) %}{% for b in range(9999) %}xxxxxxxxxxxxxxxxxxxxxxxxxxx{% endfor %}{% endfor %}"
            .to_string(),
        format!("{{% set x = 'a' %}}{doubled}"),
        "{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x }}".into(),
        "{% set n = namespace(x=[1]) %}{% for i in range(9999) %}{% set n.x = [n.x] %}{% endfor %}".into(),
        "{{ ('a' * 1000000) | replace('a', 'b' * 1000000) }}".into(),
        "{{ ('b' * 1000000).join(('a' * 1000000) | list) }}".into(),
        "{{ (['a'] * 100000) | map('replace', 'a', 'b' * 100000) | list | length }}".into(),
        "{{ '%999999999d' | format(1) }}".into(),
        "{% macro m(x) %}{{ m(x ~ x) }}{% endmacro %}{{ m('a' * 1000) }}".into(),
        "{% set x %}{% for i in range(9999) %}{{ 'a' * 99999 }}{% endfor %}{% endset %}".into(),
        format!("{{{{ {} 1 }}}}", "- ".repeat(100_000)),
        format!("{{{{ {} 1 }}}}", "not ".repeat(100_000)),
        format!("{{{{ 1{} }}}}", " ~ 1".repeat(100_000)),
        format!("{{{{ 1{} }}}}", " if 1 else 1".repeat(50_000)),
        format!("{{% if 1 %}}{}{{% endif %}}", "{% elif 1 %}".repeat(50_000)),
        "x".repeat(2 << 20),
    ] {
        let error = rendered(&source).expect_err(&source[..source.len().min(80)]);
        let shown: String = source.chars().take(80).collect();
        assert!(matches!(error, LmError::Bound { .. }), "{shown}: {error}");
    }
    // What fails at itself is broken; what was written to refuse refuses.
    for source in
        ["{{ 9**9**9 }}", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "{{ 1 | nothing }}", "{{ 1 + [] }}"]
    {
        let error = rendered(source).unwrap_err();
        assert!(matches!(error, LmError::Template { .. }), "{source}: {error}");
    }
    let error = rendered("{{ raise_exception('no') }}").unwrap_err();
    assert!(matches!(&error, LmError::Refused { what, .. } if what.contains("conversation: no")), "{error}");
    let indented = |indent| rendered(&format!("{{{{ [1] | tojson(indent={indent}) }}}}"));
    assert_eq!(indented("64").unwrap(), format!("[\n{}1\n]", " ".repeat(64)));
    assert_eq!(indented("-3").unwrap(), "[\n1\n]");
    assert!(matches!(indented("65"), Err(LmError::Bound { .. })));
    let error = rendered("\n{% include 'other' %}").unwrap_err().to_string();
    assert!(error.contains("include"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_template_ends(parts in prop::collection::vec(prop::sample::select(vec![
        "{% set x = x ~ x %}", "{% set x = [x, x] %}", "{% for i in x %}", "{% endfor %}", "{{ x }}", "{% set x = 'ab' * 9 %}",
        "{% set x = x * 99 %}", "{% set x = x | list %}", "{% set x = x | join(x) %}", "{% set x = x.replace('a', x) %}",
        "{% set x %}", "{% endset %}", "{% macro m(x) %}", "{% endmacro %}", "{{ m(x) }}", "{{", "}}", "{%", "'", "x", " - ", "{% if x %}", "{% endif %}",
    ]), 0..30)) {
        let began = std::time::Instant::now();
        if let Ok(text) = rendered(&parts.concat()) {
            prop_assert!(text.len() <= MOST_PRINTED);
        }
        prop_assert!(began.elapsed().as_secs() < 60);
    }
}
