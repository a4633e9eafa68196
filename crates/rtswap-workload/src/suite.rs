use crate::{
    Channel, Driven, Family, File, Opened, Outside, Resources, Served, Sleep, Spawn, Spec,
    SpecError, Startup, TcpEcho, WithFiles, Yield, families,
};
#[cfg(feature = "apps")]
use crate::{Fetch, Http, Mysql, Postgres, Redis};

/// A set of workloads: their names, and how to get from a name to the program.
pub trait Suite: 'static {
    /// Every family, in the order of listings.
    const CATALOGUE: &'static [&'static Family];

    /// Names that a newcomer's run measures.
    const DEFAULT: &'static [&'static str];

    /// Names that `--quick` measures.
    const QUICK: &'static [&'static str];

    /// Hands the program of `spec`, which works with what it is `given`, to the visitor.
    ///
    /// # Errors
    /// [`SpecError::Unknown`] if the suite has no such workload, [`SpecError::Missing`] if it was not
    /// given what it needs.
    fn visit<V: Visitor>(
        spec: &Spec,
        given: &Resources,
        visitor: V,
    ) -> Result<V::Output, SpecError>;
}

/// What can be done with a workload of whatever kind.
pub trait Visitor {
    /// What comes of it.
    type Output;
    /// Takes one that the generator drives.
    fn served<W: Served>(self, workload: W) -> Self::Output;
    /// Takes one that drives itself.
    fn driven<W: Driven>(self, workload: W) -> Self::Output;
    /// Takes one that drives itself on connections that it has opened.
    fn opened<W: Opened>(self, workload: W) -> Self::Output;
    /// Takes one that drives itself on files.
    fn with_files<W: WithFiles>(self, workload: W) -> Self::Output;
    /// Takes one that drives itself outside of the runtime.
    fn outside<W: Outside>(self, workload: W) -> Self::Output;
}

/// The workloads that ship.
#[derive(Clone, Copy, Debug)]
pub struct Standard;

impl Suite for Standard {
    const CATALOGUE: &'static [&'static Family] = families::CATALOGUE;
    const DEFAULT: &'static [&'static str] = families::DEFAULT;
    const QUICK: &'static [&'static str] = families::QUICK;

    fn visit<V: Visitor>(
        spec: &Spec,
        given: &Resources,
        visitor: V,
    ) -> Result<V::Output, SpecError> {
        if spec.is_own_request() {
            return Err(SpecError::OwnRequest { workload: spec.to_string() });
        }
        Ok(match spec.family().name {
            "tcp-echo" | "idle" | "churn" => visitor.served(TcpEcho::new(spec)),
            #[cfg(feature = "apps")]
            "http" => visitor.served(Http::new(spec)),
            "sleep" => visitor.driven(Sleep::new(spec)),
            "spawn" => visitor.driven(Spawn::new(spec)),
            "yield" => visitor.driven(Yield::new(spec)),
            "channel" => visitor.driven(Channel::new(spec)),
            "startup" => visitor.outside(Startup),
            "file" => visitor.with_files(File::new(spec, given)?),
            #[cfg(feature = "apps")]
            "fetch" => visitor.with_files(Fetch::new(spec, given)?),
            #[cfg(feature = "apps")]
            "redis" => visitor.opened(Redis::new(spec, given)?),
            #[cfg(feature = "apps")]
            "mysql" => visitor.opened(Mysql::new(spec, given)?),
            #[cfg(feature = "apps")]
            "postgres" => visitor.opened(Postgres::new(spec, given)?),
            name => return Err(SpecError::missing(name, spec.family().feature)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Kind;

    impl Visitor for Kind {
        type Output = ();
        fn served<W: Served>(self, _: W) {}
        fn driven<W: Driven>(self, _: W) {}
        fn opened<W: Opened>(self, _: W) {}
        fn with_files<W: WithFiles>(self, _: W) {}
        fn outside<W: Outside>(self, _: W) {}
    }

    #[test]
    fn every_name_of_the_suite_leads_to_a_program() {
        let named = Standard::DEFAULT.iter().chain(Standard::QUICK);
        for name in named {
            let spec = Spec::parse(name, Standard::CATALOGUE).unwrap();
            assert_eq!(&spec.to_string(), name, "selections use full names");
        }
        for family in Standard::CATALOGUE {
            let names = family.uses.iter().flat_map(|uses| uses.resources());
            let given = names.map(|&name| (name.to_owned(), String::new())).collect();
            for spec in Spec::matrix(family) {
                Standard::visit(&spec, &given, Kind).unwrap();
            }
        }
    }
}
