"""Hrana 3's protobuf schemas for Python's protobuf runtime, as messages by name."""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from protobuf import SCHEMA

PACKAGE = "hrana"


def set_type(field, name):
    kind = f"TYPE_{name.upper()}"
    if hasattr(field, kind):
        field.type = getattr(field, kind)
    else:
        field.type = field.TYPE_MESSAGE
        field.type_name = f".{PACKAGE}.{name}"


def add_field(message, text):
    name, rest = text.split("=")
    number = int(rest[:2] if rest[1].isdigit() else rest[:1])
    rest = rest[len(str(number)):]
    field = message.field.add(name=name, number=number, label=1)
    if rest.startswith("map:"):
        entry = message.nested_type.add(name=name.title().replace("_", "") + "Entry")
        entry.options.map_entry = True
        set_type(entry.field.add(name="key", number=1, label=1), "uint32")
        set_type(entry.field.add(name="value", number=2, label=1), rest[4:])
        field.label = field.LABEL_REPEATED
        field.type = field.TYPE_MESSAGE
        field.type_name = f".{PACKAGE}.{message.name}.{entry.name}"
        return
    mark, kind = rest[0], rest[1:]
    if mark == "*":
        field.label = field.LABEL_REPEATED
    elif mark == "|":
        if not message.oneof_decl:
            message.oneof_decl.add(name="which")
        field.oneof_index = 0
    set_type(field, kind)
    # An optional message is a message: presence is its nature.
    if mark == "?" and field.type != field.TYPE_MESSAGE:
        field.proto3_optional = True


def add_optionals(message):
    """proto3's `optional` is a oneof of its own; these come after the real one."""
    for field in message.field:
        if field.proto3_optional:
            message.oneof_decl.add(name="_" + field.name)
            field.oneof_index = len(message.oneof_decl) - 1


def load():
    file = descriptor_pb2.FileDescriptorProto(name="hrana.proto", package=PACKAGE, syntax="proto3")
    for line in filter(None, SCHEMA.splitlines()):
        name, *fields = line.split()
        message = file.message_type.add(name=name)
        for field in fields:
            add_field(message, field)
        add_optionals(message)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    factory = message_factory.MessageFactory(pool)
    return {message.name: factory.GetPrototype(
        pool.FindMessageTypeByName(f"{PACKAGE}.{message.name}")) for message in file.message_type}
