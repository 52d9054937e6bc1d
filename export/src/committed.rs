//! Containers that are saved as images: what a container wrote goes on top of the layers of its image.

use layerlift_store::{
    ChainId, Container, ContainerRecord, Containers, DiffLayer, Document, Image, ImageKey, Layer, LayerTar,
    Platform, Platforms, Store,
};

use crate::document::commit::{self, Base};
use crate::layered::Layered;
use crate::select::{ChosenContainer, ChosenOrphan, Wanted};
use crate::{Error, Warning};

/// The image of a container, and what to say of it. To keep going, a file that changes or cannot be read must
/// not cost the others.
pub(crate) fn layered(
    store: &dyn Store,
    chosen: ChosenContainer,
    keep_going: bool,
    warnings: &mut Vec<Warning>,
) -> Result<Layered, Error> {
    let name = chosen.name();
    let ChosenContainer { container, reference } = chosen;
    let unsupported =
        |why: &str| Error::Document { what: format!("the image of {name}"), why: why.to_owned() };
    let ability = store.containers().ok_or_else(|| unsupported("its store has no containers"))?;
    let tar =
        ability.layer(&container)?.ok_or_else(|| unsupported("the container has no layer of its own"))?;
    let tar = if keep_going { tar.as_it_is_read() } else { tar };
    warnings.extend(tar.notices_below().iter().map(Warning::from));
    warnings.extend(container.damage.iter().map(|error| Warning::RecordDamaged {
        what: format!("the image of {name}"),
        why: error.to_string(),
    }));
    let mut other = None;
    let mut computed = Vec::new();
    let image = match image(store, &container)? {
        Some(image) if !ability.is_on(&container, &image)? => {
            let found = image_below(store, ability, &container)?;
            warnings.push(Warning::OtherImage {
                container: called(&container).to_owned(),
                recorded: image.key.id().to_owned(),
                found: found.as_ref().map(|found| found.key.id().to_owned()),
            });
            other = Some(image.key.id().to_owned());
            found
        }
        image => image,
    };
    let (layers, base) = match image {
        Some(Image { document: Document::Config { raw, .. }, layers, .. }) => {
            (layers, Base::of_image(&raw).map_err(|why| unsupported(&why))?)
        }
        Some(_) => return Err(unsupported("its image has no config")),
        None => {
            let layers = match (ability.below(&container), other) {
                (Ok(layers), _) => layers,
                (Err(error), other) => {
                    let unpacked = ability.unpacked_below(&container)?;
                    if unpacked.is_empty() {
                        let id = other.ok_or(error)?;
                        let why =
                            format!("its record names image {id}, but no image has the layers below it");
                        return Err(unsupported(&why));
                    }
                    let of_images = common(store, &container, &unpacked)?;
                    let chosen = unpacked.into_iter().skip(of_images.len());
                    computed.extend(chosen.map(|(chain, layer)| (chain.to_string(), LayerTar::Diff(layer))));
                    if !computed.is_empty() {
                        warnings.push(Warning::LayersComputed {
                            container: called(&container).to_owned(),
                            count: computed.len(),
                        });
                    }
                    of_images
                }
            };
            let host = Platform::host();
            let (os, architecture) = (host.os.to_string(), host.architecture.to_string());
            if Base::is_guessed(&container) {
                let what = format!("the image of {name}");
                warnings.push(Warning::GuessedPlatform { what, platform: host.to_string() });
            }
            let base = Base::of_layers(&container, layers.len() + computed.len(), (&os, &architecture));
            (layers, base)
        }
    };
    if let Some(layer) = layers.iter().find(|layer| layer.diff_id.is_none()) {
        let why = format!("no digest is recorded of layer {}", layer.key.id());
        return Err(unsupported(&why));
    }
    let diff_ids: Vec<_> = layers.iter().filter_map(|layer: &Layer| layer.diff_id).collect();
    // Podman adds an empty layer, too.
    let empty = matches!(container.record, ContainerRecord::Docker { .. }) && tar.is_empty()?;
    warnings.extend(without_settings(&container));
    let config = commit::config(&container, &base, &diff_ids, empty).map_err(|why| unsupported(&why))?;
    let key = container.key.as_image();
    let document = Document::Config { raw: config, manifests: Vec::new() };
    let image = Image::new(key.clone(), document, layers);
    let wanted = Wanted { key, references: reference.into_iter().collect() };
    let own = (!empty).then(|| (container.key.id().to_owned(), LayerTar::Diff(tar)));
    Ok(Layered { wanted, name, image, on_top: computed.into_iter().chain(own).collect() })
}

/// What messages call a container.
fn called(container: &Container) -> &str {
    container.names.first().map_or(container.key.id(), String::as_str)
}

/// The layers that a container whose image was removed shares with an image that is there, base first: of
/// these, there may be more than files.
fn common(
    store: &dyn Store,
    container: &Container,
    unpacked: &[(ChainId, DiffLayer)],
) -> Result<Vec<Layer>, Error> {
    let mut best = Vec::new();
    for summary in store.images()?.on(store, Platforms::All).images {
        if summary.key.partition() != container.key.partition() {
            continue;
        }
        let Ok(image) = store.image(&summary.key) else { continue };
        let mut below = None;
        let same = |(layer, (chain, _)): &(&Layer, &(ChainId, DiffLayer))| {
            below = layer.diff_id.map(|diff_id| ChainId::new(below, diff_id));
            below == Some(*chain)
        };
        let count = image.layers.iter().zip(unpacked).take_while(same).count();
        if count > best.len() {
            best = image.layers.into_iter().take(count).collect();
        }
    }
    Ok(best)
}

/// Says that the settings of an image are not those of its container, or not all of them.
fn without_settings(container: &Container) -> Option<Warning> {
    let ContainerRecord::Storage { runtime, builder, lacks, .. } = &container.record else { return None };
    if builder.is_some() {
        return None;
    }
    let name = called(container).to_owned();
    let lacks = lacks.as_ref().map(|path| path.display().to_string());
    Some(Warning::SettingsLost { container: name, lacks, from_runtime: runtime.is_some() })
}

/// The image of a layer without a record and of those below. Nothing says how it was run.
pub(crate) fn of_orphan(
    store: &dyn Store,
    chosen: ChosenOrphan,
    keep_going: bool,
    warnings: &mut Vec<Warning>,
) -> Result<Layered, Error> {
    let name = chosen.name();
    let ChosenOrphan { orphan, reference } = chosen;
    let unsupported = |why: String| Error::Document { what: format!("the image of {name}"), why };
    let ability = store.containers().ok_or_else(|| unsupported("its store has no containers".to_owned()))?;
    let (container, known) = ability.adopt(&orphan)?;
    let above = orphan.layers()?.into_iter().skip(known.len());
    let as_read = |layer: DiffLayer| if keep_going { layer.as_it_is_read() } else { layer };
    let on_top: Vec<_> = above.map(|(id, layer)| (id, LayerTar::Diff(as_read(layer)))).collect();
    warnings.extend(orphan.notices.iter().map(Warning::from));
    let host = Platform::host();
    let what = format!("the image of {name}");
    warnings.push(Warning::GuessedPlatform { what, platform: host.to_string() });
    let below = (known.len() + on_top.len()).saturating_sub(1);
    let (os, architecture) = (host.os.to_string(), host.architecture.to_string());
    let base = Base::of_layers(&container, below, (&os, &architecture));
    let diff_ids: Vec<_> = known.iter().filter_map(|layer| layer.diff_id).collect();
    let config = commit::config(&container, &base, &diff_ids, false).map_err(unsupported)?;
    let key = container.key.as_image();
    let image = Image::new(key.clone(), Document::Config { raw: config, manifests: Vec::new() }, known);
    let wanted = Wanted { key, references: reference.into_iter().collect() };
    Ok(Layered { wanted, name, image, on_top })
}

/// The image that the container was made of, if it is still there.
fn image(store: &dyn Store, container: &Container) -> Result<Option<Image>, Error> {
    if !container.image_present {
        return Ok(None);
    }
    let Some(key) = image_key(store, container) else { return Ok(None) };
    Ok(Some(store.image(&key)?))
}

/// The image on whose layers the container lies, if the one that its record names is another. One with a name
/// goes first.
fn image_below(
    store: &dyn Store,
    ability: &dyn Containers,
    container: &Container,
) -> Result<Option<Image>, Error> {
    let mut all = store.images()?.on(store, Platforms::All).images;
    let elsewhere = |key: &ImageKey| key.partition() != container.key.partition();
    all.sort_by_key(|summary| (elsewhere(&summary.key), summary.references.is_empty()));
    for summary in all {
        let Ok(image) = store.image(&summary.key) else { continue };
        let is_known = image.layers.iter().all(|layer| layer.diff_id.is_some());
        if is_known
            && matches!(image.document, Document::Config { .. })
            && ability.is_on(container, &image)?
        {
            return Ok(Some(image));
        }
    }
    Ok(None)
}

/// With containerd, the record names the manifest if the image has several.
fn image_key(store: &dyn Store, container: &Container) -> Option<ImageKey> {
    let manifest = match &container.record {
        ContainerRecord::Docker { config, .. } => {
            let config: serde_json::Value = serde_json::from_slice(config).ok()?;
            let digest = config.get("ImageManifest").and_then(|manifest| manifest.get("digest"));
            digest.and_then(|digest| digest.as_str()).map(str::to_owned)
        }
        _ => None,
    };
    let names = manifest.iter().chain(&container.image_id);
    names.into_iter().find_map(|name| {
        let selected = store.resolve(name).ok()?.into_iter().next()?;
        selected.choose_all(store, &Platforms::Usual).ok()?.into_iter().next()
    })
}
