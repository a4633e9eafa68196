use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};

use super::offered::Coded;
use super::{
    Arrivals, Drive, Family, Notation, Param, ParamValue, Rate, Resources, SpecError, text_value,
};

/// A workload with its parameters: `tcp-echo/size=1024/conns=32`.
///
/// [`Display`](fmt::Display) writes the full name, which records are keyed by: the parameters in the
/// family's order, without those that were added [later](super::Param::later) and have their default.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    family: &'static Family,
    // As many as the family has parameters, in its order.
    values: [u64; MAX_PARAMS],
}

const MAX_PARAMS: usize = 8;

/// Parameters that describe a request that ships. One of the user's own has none of them.
const OF_SHIPPED_REQUESTS: [&str; 2] = ["body", "h2"];

impl Spec {
    /// Reads `name/param=value/…`; parameters that are not named take their defaults. A path goes on until a parameter of
    /// the family follows: `http/path=/users/7/conns=8`.
    ///
    /// # Errors
    /// [`SpecError`] names the mistake and the accepted names or values.
    pub fn parse(text: &str, catalogue: &[&'static Family]) -> Result<Self, SpecError> {
        let mut parts = text.split('/');
        let name = parts.next().unwrap_or_default();
        let family = *catalogue.iter().find(|family| family.name == name).ok_or_else(|| {
            SpecError::Unknown {
                name: name.to_owned(),
                suggestion: nearest(name, catalogue.iter().map(|family| family.name)),
            }
        })?;
        let mut spec = Self::with_defaults(family);
        let mut given = Vec::new();
        for (param, value) in assignments(parts, family) {
            let index =
                family.params.iter().position(|known| known.name == param).ok_or_else(|| {
                    SpecError::Param {
                        workload: name.to_owned(),
                        param: param.to_owned(),
                        known: known(family),
                    }
                })?;
            let known = &family.params[index];
            spec.values[index] = known.parse(&value).ok_or_else(|| SpecError::Value {
                workload: name.to_owned(),
                param: param.to_owned(),
                value,
                accepted: known.accepts(),
            })?;
            given.push(known);
        }
        spec.check_own_request(text, &given)?;
        if spec.rate().is_none() && spec.arrivals() != Arrivals::default() {
            return Err(SpecError::NoRate { workload: text.to_owned() });
        }
        Ok(spec)
    }

    /// Fails if a request of the user's own is described twice.
    fn check_own_request(&self, text: &str, given: &[&Param]) -> Result<(), SpecError> {
        let mut own = self.family.params.iter().zip(self.values).filter_map(|(param, value)| {
            let is_own = matches!(param.notation, Notation::Path | Notation::Label);
            (is_own && value != param.default).then_some(param.name)
        });
        let Some(second) = own.next() else { return Ok(()) };
        let exclusive = |first, second, why| {
            Err(SpecError::Exclusive { workload: text.to_owned(), first, second, why })
        };
        if let Some(third) = own.next() {
            return exclusive(second, third, ": the section of the request has its path");
        }
        match given.iter().find(|param| OF_SHIPPED_REQUESTS.contains(&param.name)) {
            Some(param) if param.name == "h2" => {
                exclusive(param.name, second, ": a request of your own is sent over HTTP/1.1")
            }
            Some(param) => exclusive(param.name, second, ""),
            None => Ok(()),
        }
    }

    /// Every combination of the family's values, the last parameter varying fastest.
    pub fn matrix(family: &'static Family) -> Vec<Self> {
        let mut specs = vec![Self::with_defaults(family)];
        for (index, param) in family.params.iter().enumerate() {
            specs = specs
                .into_iter()
                .flat_map(|spec| {
                    param.values.iter().map(move |&value| {
                        let mut spec = spec;
                        spec.values[index] = value;
                        spec
                    })
                })
                .collect();
        }
        specs
    }

    fn with_defaults(family: &'static Family) -> Self {
        let mut values = [0; MAX_PARAMS];
        for (value, param) in values.iter_mut().zip(family.params) {
            *value = param.default;
        }
        Self { family, values }
    }

    /// The workload without its parameters.
    pub fn family(&self) -> &'static Family {
        self.family
    }

    /// Who drives a slice.
    pub fn drive(&self) -> Drive {
        self.family.drive
    }

    /// The value of a parameter.
    ///
    /// # Panics
    /// If the family has no such parameter, which is a mistake in the workload.
    pub fn get(&self, param: &str) -> u64 {
        let index = self.family.params.iter().position(|known| known.name == param);
        self.values[index.expect("a workload asks for its own parameters only")]
    }

    /// How many operations per second are offered; `None` for a closed loop.
    pub fn rate(&self) -> Option<Rate> {
        Coded::decode(self.of(Notation::Rate)?)
    }

    /// When the operations of an offered rate are due.
    pub fn arrivals(&self) -> Arrivals {
        self.of(Notation::Arrivals).map(Arrivals::decode).unwrap_or_default()
    }

    /// The same workload as a closed loop.
    #[must_use]
    pub fn closed_loop(mut self) -> Self {
        for (value, param) in self.values.iter_mut().zip(self.family.params) {
            if matches!(param.notation, Notation::Rate | Notation::Arrivals) {
                *value = param.default;
            }
        }
        self
    }

    /// Whether the request is one of the user's own, which lanes that ship do not know.
    pub fn is_own_request(&self) -> bool {
        self.text("path").or(self.text("request")).is_some()
    }

    /// The value of a parameter that is a text, if it has one.
    pub fn text(&self, param: &str) -> Option<&'static str> {
        let index = self.family.params.iter().position(|known| known.name == param)?;
        let notation = self.family.params[index].notation;
        matches!(notation, Notation::Path | Notation::Label)
            .then(|| text_value::decode(self.values[index]))?
    }

    /// Whether a parameter means anything with these values.
    fn applies(&self, param: &Param) -> bool {
        !(self.is_own_request() && OF_SHIPPED_REQUESTS.contains(&param.name))
    }

    /// The value of the parameter with that notation, if the family has one.
    fn of(&self, notation: Notation) -> Option<u64> {
        let index = self.family.params.iter().position(|param| param.notation == notation)?;
        Some(self.values[index])
    }

    /// The name of a parameter's value.
    ///
    /// # Panics
    /// If the family has no such parameter, or its values have no names, which is a mistake in the
    /// workload.
    pub fn name_of(&self, param: &str) -> &'static str {
        let known = self.family.params.iter().find(|known| known.name == param);
        known.expect("a workload asks for its own parameters only").names[self.get(param) as usize]
    }

    /// The value of a parameter; `None` if the family has no such parameter or its values have names.
    pub fn number(&self, param: &str) -> Option<u64> {
        let index = self.family.params.iter().position(|known| known.name == param)?;
        self.family.params[index].is_quantity().then_some(self.values[index])
    }

    /// A resource that the workload was given.
    ///
    /// # Errors
    /// [`SpecError::Missing`] if it was not given.
    pub fn given(&self, given: &Resources, resource: &'static str) -> Result<String, SpecError> {
        given
            .get(resource)
            .cloned()
            .ok_or_else(|| SpecError::Missing { workload: self.family.name.to_owned(), resource })
    }

    /// The parameters by name. Those of an offered load are absent from a closed loop.
    pub fn params(&self) -> BTreeMap<&'static str, ParamValue> {
        let params = self.family.params.iter().zip(self.values);
        let is_offered = self.rate().is_some();
        params
            .filter(|(param, value)| match param.notation {
                Notation::Plain => self.applies(param),
                Notation::Rate | Notation::Arrivals => is_offered,
                Notation::Path | Notation::Label => *value != param.default,
            })
            .map(|(param, value)| (param.name, param.spell(value)))
            .collect()
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.family.name)?;
        let params = self.family.params.iter().zip(self.values);
        for (param, value) in params.filter(|(param, value)| {
            self.applies(param) && (!param.later || *value != param.default)
        }) {
            write!(f, "/{}={}", param.name, param.spell(value))?;
        }
        Ok(())
    }
}

impl PartialEq for Spec {
    fn eq(&self, other: &Self) -> bool {
        self.family.name == other.family.name && self.values == other.values
    }
}

impl Eq for Spec {}

impl Serialize for Spec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The parameters that the parts of a name set, each with its value.
fn assignments<'a>(
    parts: impl Iterator<Item = &'a str>,
    family: &Family,
) -> Vec<(&'a str, String)> {
    let param = |name: &str| family.params.iter().find(|known| known.name == name);
    let mut all: Vec<(&str, String)> = Vec::new();
    for part in parts {
        let assignment = part.split_once('=');
        let in_path = all
            .last_mut()
            .filter(|(name, _)| param(name).is_some_and(|it| it.notation == Notation::Path))
            .filter(|_| assignment.is_none_or(|(name, _)| param(name).is_none()));
        if let Some((_, path)) = in_path {
            path.push('/');
            path.push_str(part);
        } else {
            let (name, value) = assignment.unwrap_or((part, ""));
            all.push((name, value.to_owned()));
        }
    }
    all
}

fn known(family: &Family) -> String {
    match family.params {
        [] => "none".to_owned(),
        params => {
            params.iter().map(|param| format!("`{}`", param.name)).collect::<Vec<_>>().join(", ")
        }
    }
}

/// The name that is most similar to `name`, if any is similar enough to be meant.
fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    names
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(similarity, _)| *similarity > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::{Param, Traffic, Uses};

    static ECHO: Family = Family {
        name: "echo",
        operation: "one message there and back",
        unit: "message",
        params: &[
            Param {
                name: "size",
                about: "bytes of a message",
                default: 1024,
                values: &[1024, 10240],
                max: 1 << 20,
                names: &[],
                later: false,
                notation: Notation::Plain,
            },
            Param::named("body", "what is sent", &["text", "json"], &[0, 1]),
            Param::named("tls", "whether it is encrypted", &["false", "true"], &[0]).added_later(),
            Param::RATE,
            Param::ARRIVALS,
        ],
        drive: Drive::Generator(Traffic::Echo),
        uses: &[Uses::Redis],
        feature: None,
    };

    static STARTUP: Family = Family {
        name: "startup",
        operation: "one runtime built and dropped",
        unit: "start",
        params: &[],
        drive: Drive::Lane,
        uses: &[],
        feature: None,
    };

    fn parse(text: &str) -> Result<Spec, SpecError> {
        Spec::parse(text, &[&ECHO, &STARTUP])
    }

    #[test]
    fn display_writes_all_parameters_in_order() {
        let full = "echo/size=512/body=json";
        assert_eq!(parse("echo/body=json/size=512").unwrap().to_string(), full);
        assert_eq!(parse("echo").unwrap().to_string(), "echo/size=1024/body=text");
        assert_eq!(parse("startup").unwrap().to_string(), "startup");
    }

    #[test]
    fn display_omits_later_parameter_with_default() {
        assert_eq!(parse("echo/tls=false").unwrap(), parse("echo").unwrap());
        let tls = parse("echo/tls=true").unwrap();
        assert_eq!(tls.to_string(), "echo/size=1024/body=text/tls=true");
        assert_eq!(parse(&tls.to_string()).unwrap(), tls);
    }

    #[test]
    fn rate_and_arrivals_are_parameters_of_the_offered_load() {
        let closed = parse("echo").unwrap();
        assert_eq!((closed.rate(), closed.arrivals()), (None, Arrivals::Constant));
        assert!(!closed.params().contains_key("rate"));
        let paced = parse("echo/arrivals=burst:8/rate=20k").unwrap();
        assert_eq!(paced.rate(), Some(Rate::PerSecond(20_000)));
        assert_eq!(paced.arrivals(), Arrivals::Burst(8));
        assert_eq!(paced.to_string(), "echo/size=1024/body=text/rate=20000/arrivals=burst:8");
        assert_eq!(paced.params()["rate"], ParamValue::Number(20_000));
        assert_eq!(paced.number("rate"), None);
        let share = parse("echo/rate=60%").unwrap();
        assert_eq!(share.to_string(), "echo/size=1024/body=text/rate=60%");
        assert_eq!(share.params()["arrivals"], ParamValue::Name("constant".to_owned()));
        for spec in [closed, paced, share] {
            assert_eq!(parse(&spec.to_string()).unwrap(), spec);
            assert_eq!(spec.closed_loop(), closed);
        }
    }

    #[test]
    fn parse_rejects_invalid_rate_and_arrivals_without_rate() {
        let error = |text| parse(text).unwrap_err().to_string();
        assert!(error("echo/rate=0").contains("`rate=0` is not a rate: 20000 or 20k"));
        assert!(error("echo/rate=9/arrivals=x").contains("constant, poisson or burst:N"));
        assert!(error("echo/arrivals=poisson").contains("add `rate=`"));
        assert!(error("startup/rate=1").contains("it has none"));
    }

    #[test]
    fn matrix_varies_last_parameter_fastest() {
        let names: Vec<_> = Spec::matrix(&ECHO).iter().map(ToString::to_string).collect();
        let expected = [
            "echo/size=1024/body=text",
            "echo/size=1024/body=json",
            "echo/size=10240/body=text",
            "echo/size=10240/body=json",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn values_are_quantities_or_names() {
        let spec = parse("echo/size=512/body=json").unwrap();
        assert_eq!((spec.get("size"), spec.number("size")), (512, Some(512)));
        assert_eq!((spec.name_of("body"), spec.number("body")), ("json", None));
        assert_eq!(spec.number("conns"), None);
        let size = ParamValue::Number(512);
        let body = ParamValue::Name("json".to_owned());
        assert_eq!((&spec.params()["size"], &spec.params()["body"]), (&size, &body));
    }

    #[test]
    fn parse_error_names_what_is_accepted() {
        let error = |text| parse(text).unwrap_err().to_string();
        assert!(error("ehco").contains("did you mean `echo`?"));
        assert!(!error("zzz").contains("did you mean"));
        assert!(error("echo/sise=1").contains("it has `size`, `body`, `tls`, `rate`, `arrivals`"));
        assert!(error("startup/tasks=1").contains("it has none"));
        assert!(error("echo/size=0").contains("from 1 to 1048576"));
        assert!(error("echo/size").contains("whole number"));
        assert!(error("echo/body=xml").contains("`body=xml` is not text or json"));
    }

    #[test]
    fn given_fails_without_resource() {
        let spec = parse("echo").unwrap();
        let resources = Resources::from([("redis".to_owned(), "redis://host".to_owned())]);
        assert_eq!(spec.given(&resources, "redis").unwrap(), "redis://host");
        let error = spec.given(&Resources::new(), "redis").unwrap_err();
        assert_eq!(error, SpecError::Missing { workload: "echo".to_owned(), resource: "redis" });
    }
}
