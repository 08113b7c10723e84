//! From the text of the schema to something that executes.

use std::{collections::HashMap, sync::Arc};

use async_graphql::{
    Error as GraphError, Value as GraphValue,
    dynamic::{
        Enum, Field, FieldFuture, FieldValue, InputObject, InputValue, Interface, InterfaceField, Object,
        ResolverContext, Scalar, Schema, TypeRef, Union,
    },
    parser::{
        parse_schema,
        types::{
            BaseType, FieldDefinition, InputValueDefinition, ServiceDocument, Type, TypeDefinition, TypeKind,
            TypeSystemDefinition,
        },
    },
};
use serde_json::Value;

use super::{
    Asker, Ctx, Resolver, Resolvers,
    coerce::{Inputs, Typed, typed},
    not_built,
};

const SCHEMA: &str = include_str!("../schema.graphql");
/// How many fields one request may ask for. The client's largest documents have a few hundred; thousands of aliases would
/// keep the database busy for half a minute.
const FIELDS_MOST: usize = 2_000;
static NULL: Value = Value::Null;

/// The executable schema of the door.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(super) schema: Schema,
}

/// What a field yields, as far as turning JSON into an answer goes.
#[derive(Debug, Clone)]
enum Shape {
    Id,
    Leaf,
    Object,
    /// An interface or union: the value names its type.
    Abstract,
    List(Box<Shape>),
}

impl Engine {
    /// Builds the schema with its resolvers.
    ///
    /// # Panics
    /// When the schema's text is wrong or a resolver is for a field that it does not have: both are mistakes in this
    /// program, which the first test that starts a server finds.
    pub(crate) fn new(mut resolvers: Resolvers) -> Self {
        let document = parse_schema(SCHEMA).expect("schema.graphql is GraphQL");
        let inputs = Arc::new(Inputs::of(&document));
        let kinds = kinds(&document);
        let mut builder = Schema::build("Query", Some("Mutation"), None);
        for definition in types(&document) {
            let name = definition.name.node.as_str();
            builder = match &definition.kind {
                TypeKind::Scalar => builder.register(Scalar::new(name)),
                TypeKind::Enum(e) => {
                    builder.register(Enum::new(name).items(e.values.iter().map(|v| v.node.value.node.as_str())))
                }
                TypeKind::Union(u) => builder.register(
                    u.members.iter().fold(Union::new(name), |union, member| union.possible_type(member.node.as_str())),
                ),
                TypeKind::InputObject(input) => builder.register(
                    input.fields.iter().fold(InputObject::new(name), |object, f| object.field(input_value(&f.node))),
                ),
                TypeKind::Interface(interface) => {
                    builder.register(interface.fields.iter().fold(Interface::new(name), |interface, f| {
                        let field = InterfaceField::new(f.node.name.node.as_str(), type_ref(&f.node.ty.node));
                        interface.field(f.node.arguments.iter().fold(field, |f, a| f.argument(input_value(&a.node))))
                    }))
                }
                TypeKind::Object(object) => {
                    let mut built = Object::new(name);
                    for interface in &object.implements {
                        built = built.implement(interface.node.as_str());
                    }
                    for field in &object.fields {
                        built = built.field(field_of(name, &field.node, &kinds, &inputs, &mut resolvers));
                    }
                    builder.register(built)
                }
            };
        }
        let unknown: Vec<_> = resolvers.0.keys().collect();
        assert!(unknown.is_empty(), "resolvers for fields that schema.graphql does not have: {unknown:?}");
        let builder = builder.limit_complexity(FIELDS_MOST);
        Self { schema: builder.finish().expect("schema.graphql is a whole schema") }
    }
}

fn types(document: &ServiceDocument) -> impl Iterator<Item = &TypeDefinition> {
    document.definitions.iter().filter_map(|d| match d {
        TypeSystemDefinition::Type(ty) => Some(&ty.node),
        _ => None,
    })
}

fn kinds(document: &ServiceDocument) -> HashMap<&str, Shape> {
    types(document)
        .map(|ty| {
            let shape = match ty.kind {
                TypeKind::Object(_) => Shape::Object,
                TypeKind::Interface(_) | TypeKind::Union(_) => Shape::Abstract,
                TypeKind::Scalar | TypeKind::Enum(_) | TypeKind::InputObject(_) => Shape::Leaf,
            };
            (ty.name.node.as_str(), shape)
        })
        .chain([("ID", Shape::Id)])
        .collect()
}

fn shape(ty: &Type, kinds: &HashMap<&str, Shape>) -> Shape {
    match &ty.base {
        BaseType::Named(name) => kinds.get(name.as_str()).cloned().unwrap_or(Shape::Leaf),
        BaseType::List(inner) => Shape::List(Box::new(shape(inner, kinds))),
    }
}

fn type_ref(ty: &Type) -> TypeRef {
    let base = match &ty.base {
        BaseType::Named(name) => TypeRef::named(name.as_str()),
        BaseType::List(inner) => TypeRef::List(Box::new(type_ref(inner))),
    };
    if ty.nullable { base } else { TypeRef::NonNull(Box::new(base)) }
}

fn input_value(definition: &InputValueDefinition) -> InputValue {
    let value = InputValue::new(definition.name.node.as_str(), type_ref(&definition.ty.node));
    match &definition.default_value {
        Some(default) => value.default_value(default.node.clone()),
        None => value,
    }
}

fn field_of(
    on_type: &str,
    definition: &FieldDefinition,
    kinds: &HashMap<&str, Shape>,
    inputs: &Arc<Inputs>,
    resolvers: &mut Resolvers,
) -> Field {
    let name = definition.name.node.to_string();
    let shape = shape(&definition.ty.node, kinds);
    let arguments = typed(definition.arguments.iter().map(|a| &a.node));
    let resolver = resolvers.take(on_type, &name);
    let ty = type_ref(&definition.ty.node);
    let field = match resolver {
        Some(resolver) => {
            let inputs = inputs.clone();
            let (arguments, shape) = (Arc::new(arguments), Arc::new(shape));
            let changes = on_type == "Mutation";
            Field::new(name, ty, move |ctx| {
                let (inputs, arguments, shape) = (inputs.clone(), arguments.clone(), shape.clone());
                FieldFuture::new(async move {
                    if changes {
                        ctx.ctx.data::<Arc<Asker>>()?.actor.require_writable().map_err(failed)?;
                    }
                    resolved(resolver, ctx, &inputs, &arguments, &shape).await
                })
            })
        }
        None => {
            let required = matches!(on_type, "Query" | "Mutation") || shape.holds_objects();
            let (key, on_type) = (name.clone(), on_type.to_owned());
            Field::new(name, ty, move |ctx| {
                let parent: &Value = ctx.parent_value.downcast_ref().unwrap_or(&NULL);
                match parent.get(&key) {
                    Some(value) => FieldFuture::Value(shape.borrow(value)),
                    None if required => FieldFuture::new(std::future::ready(Err::<Option<FieldValue>, _>(failed(
                        not_built(&format!("{on_type}.{key}")),
                    )))),
                    None => FieldFuture::Value(None),
                }
            })
        }
    };
    definition.arguments.iter().fold(field, |field, a| field.argument(input_value(&a.node)))
}

async fn resolved<'a>(
    resolver: Resolver,
    ctx: ResolverContext<'a>,
    inputs: &Inputs,
    arguments: &Typed,
    shape: &Shape,
) -> Result<Option<FieldValue<'a>>, GraphError> {
    let asker = ctx.ctx.data::<Arc<Asker>>()?;
    let args = inputs.arguments(arguments, ctx.args.as_index_map()).map_err(failed)?;
    let value = resolver(Ctx {
        service: &asker.service,
        actor: &asker.actor,
        parent: ctx.parent_value.downcast_ref().unwrap_or(&NULL),
        args,
        base_url: &asker.base_url,
        on_behalf_of: asker.on_behalf_of.as_deref(),
        operation: asker.operation.as_deref(),
        context: ctx.ctx,
    })
    .await
    .map_err(failed)?;
    Ok(shape.own(value))
}

fn failed(error: lanza_service::Error) -> GraphError {
    GraphError::new_with_source(error)
}

impl Resolvers {
    fn take(&mut self, on_type: &str, field: &str) -> Option<Resolver> {
        let key = self.0.keys().find(|(t, f)| *t == on_type && *f == field).copied()?;
        self.0.remove(&key)
    }
}

impl Shape {
    fn holds_objects(&self) -> bool {
        match self {
            Self::Object | Self::Abstract => true,
            Self::List(inner) => inner.holds_objects(),
            Self::Id | Self::Leaf => false,
        }
    }

    fn borrow<'a>(&self, value: &'a Value) -> Option<FieldValue<'a>> {
        match (self, value) {
            (_, Value::Null) => None,
            (Self::List(inner), Value::Array(items)) => {
                Some(FieldValue::list(items.iter().filter_map(|v| inner.borrow(v))))
            }
            (Self::Object, value) => Some(FieldValue::borrowed_any(value)),
            (Self::Abstract, value) => Some(FieldValue::borrowed_any(value).with_type(type_name(value).to_owned())),
            (_, value) => Some(leaf(self, value.clone())),
        }
    }

    fn own(&self, value: Value) -> Option<FieldValue<'static>> {
        match (self, value) {
            (_, Value::Null) => None,
            (Self::List(inner), Value::Array(items)) => {
                Some(FieldValue::list(items.into_iter().filter_map(|v| inner.own(v))))
            }
            (Self::Object, value) => Some(FieldValue::owned_any(value)),
            (Self::Abstract, value) => {
                let name = type_name(&value).to_owned();
                Some(FieldValue::owned_any(value).with_type(name))
            }
            (_, value) => Some(leaf(self, value)),
        }
    }
}

fn type_name(value: &Value) -> &str {
    value.get("__typename").and_then(Value::as_str).unwrap_or_default()
}

fn leaf(shape: &Shape, value: Value) -> FieldValue<'static> {
    let value = match (shape, value) {
        (Shape::Id, Value::Number(n)) => Value::String(n.to_string()),
        (_, value) => value,
    };
    FieldValue::value(GraphValue::from_json(value).unwrap_or_default())
}
